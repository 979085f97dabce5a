"""What is gathered while a rollout runs, before it becomes a `Trajectory`."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from rlvr.capture.sequences import SampledTurn, TokenRow
from rlvr.record import (
    Blob,
    Json,
    Message,
    RolloutError,
    ScoreStatus,
    ToolCall,
    ToolResult,
    Turn,
)

CAPTURE_KEY = "_rlvr_capture"  # where a rollout's state carries its capture


@dataclass(slots=True, kw_only=True)
class ScoreOutcome:
    """What one scorer did with one rollout."""

    name: str
    weight: float | None
    status: ScoreStatus = ScoreStatus.OK
    error: str | None = None
    duration_s: float | None = None


@dataclass(slots=True, kw_only=True)
class RolloutCapture:
    """One rollout under way. Only its own task writes to it.

    `written` holds the last message's calls that have not run yet; `rows` are the training
    sequences; `values` the component values that the library used, `reward` the one trained on.
    """

    prompt: tuple[Message, ...] = ()
    answer: str | None = None
    task: str | None = None
    info: dict[str, Json] = field(default_factory=dict)
    completion: tuple[Message, ...] = ()
    tool_results: list[ToolResult] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    sampled: list[SampledTurn] = field(default_factory=list)
    written: list[ToolCall] = field(default_factory=list)
    errors: list[RolloutError] = field(default_factory=list)
    scores: dict[str, ScoreOutcome] = field(default_factory=dict)
    blobs: list[Blob] = field(default_factory=list)
    stop_reason: str | None = None
    reward: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    scoring_s: float | None = None
    finished_at: float | None = None
    rows: list[TokenRow] = field(default_factory=list)
    truncated: bool | None = None

    def fail(self, where: str, error: BaseException) -> None:
        """Keep an exception with its traceback."""
        self.errors.append(
            RolloutError(
                where=where,
                type=type(error).__name__,
                text=str(error),
                traceback="".join(traceback.format_exception(error)),
            )
        )
        self.finished_at = time.time()


@dataclass(slots=True, kw_only=True)
class BatchCapture:
    """The rollouts of one generation batch, in batch order, and what the trainer was given."""

    rollouts: list[RolloutCapture]
    component_names: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class ToolCallCapture:
    """The call that is being executed; `answered` once a tool returned or raised."""

    rollout: RolloutCapture
    call_id: str | None
    name: str
    arguments: str
    answered: bool = False


CURRENT_ROLLOUT: ContextVar[RolloutCapture | None] = ContextVar("rlvr_rollout", default=None)
STARTED_ROLLOUTS: ContextVar[list[RolloutCapture]] = ContextVar("rlvr_started_rollouts")
CURRENT_CALL: ContextVar[ToolCallCapture | None] = ContextVar("rlvr_call", default=None)
CURRENT_SCORE: ContextVar[ScoreOutcome | None] = ContextVar("rlvr_score", default=None)


@contextmanager
def current(variable: ContextVar, value: object) -> Iterator[None]:  # type: ignore[type-arg]
    """Set a context variable for the duration of a block."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def record_tool_result(
    call: ToolCallCapture,
    *,
    result: str | None,
    error: BaseException | None,
    duration_s: float | None,
) -> None:
    """Add what a tool returned or raised to the rollout that called it."""
    call.answered = True
    call.rollout.tool_results.append(
        ToolResult(
            turn=max(len(call.rollout.turns) - 1, 0),
            call_id=call.call_id,
            name=call.name,
            arguments=call.arguments,
            result=result,
            error=None if error is None else f"{type(error).__name__}: {error}",
            traceback=None if error is None else "".join(traceback.format_exception(error)),
            duration_s=duration_s,
        )
    )
