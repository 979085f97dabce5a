"""One trajectory, whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from rlvr.record.messages import Blob, Message, ToolCall, ToolResult
from rlvr.record.tokens import TokenDetails, TokenEvidence

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Mode(StrEnum):
    """Whether the rollout was made to be trained on or to be measured."""

    TRAIN = "train"
    EVAL = "eval"


class ScoreStatus(StrEnum):
    """What became of one reward component's scorer."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One reward component. `value` is None unless `status` is ok; `weight` None if unknown."""

    name: str
    value: float | None
    weight: float | None = None
    status: ScoreStatus = ScoreStatus.OK
    error: str | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request to the sampler, and what came back."""

    index: int
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    sampled_tokens: int | None = None
    policy_version: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutError:
    """What went wrong in a rollout. `where`: generation, environment, scoring or capture."""

    where: str
    type: str
    text: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Wall-clock seconds of one rollout."""

    generation_s: float | None = None
    tools_s: float | None = None
    scoring_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One rollout of one prompt, from prompt to advantage.

    step: optimizer updates completed when the batch was requested for training.
    batch: generation batches counted per mode and attempt. attempt: starts of the process group.
    group_id: global; the rollouts of one prompt in one batch. sample: place in the group, from 0.
    id: given by the store when it is written (file stem, "-", five-digit row); None before.
    """

    # identity
    run: str
    mode: Mode
    step: int
    batch: int
    attempt: int
    group_id: str
    sample: int
    id: str | None = None
    rank: int = 0
    task: str | None = None
    example_id: str | None = None
    parent_id: str | None = None
    agent: str | None = None
    finished_at: float | None = None
    # content
    question: str | None = None
    answer: str | None = None
    info: Mapping[str, Json] = field(default_factory=dict)
    prompt: tuple[Message, ...] = ()
    completion: tuple[Message, ...] = ()
    tool_results: tuple[ToolResult, ...] = ()
    turns: tuple[Turn, ...] = ()
    stop_reason: str | None = None
    errors: tuple[RolloutError, ...] = ()
    blobs: tuple[Blob, ...] = ()
    # score
    components: tuple[Component, ...] = ()
    reward: float | None = None
    advantage: float | None = None
    # tokens and cost
    evidence: TokenEvidence = field(default_factory=TokenEvidence)
    tokens: TokenDetails | None = None
    cost: Cost = field(default_factory=Cost)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Prompt and completion, in order."""
        return self.prompt + self.completion

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Every call of the completion, in order."""
        return tuple(call for message in self.completion for call in message.tool_calls)

    def component(self, name: str) -> Component | None:
        """The component of that name, or None."""
        return next((component for component in self.components if component.name == name), None)
