"""What TRL's reward functions did with a batch: their values, exceptions and seconds."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.capture.rollout import ScoreOutcome
from rlvr.record import ScoreStatus


@dataclass(slots=True, kw_only=True)
class Scoring:
    """One reward function and one batch. `returned` is None until it returned."""

    name: str
    weight: float
    returned: list[Any] | None = None
    error: BaseException | None = None
    duration_s: float | None = None

    def outcome(self, row: int) -> ScoreOutcome:
        """What became of one rollout; the seconds are those of its whole batch."""
        status, text = ScoreStatus.OK, None
        if self.error is not None:
            timed_out = isinstance(self.error, TimeoutError)
            status = ScoreStatus.TIMEOUT if timed_out else ScoreStatus.ERROR
            text = f"{type(self.error).__name__}: {self.error}"
        elif self.returned is not None and _is_absent(self.returned[row]):
            status = ScoreStatus.NOT_APPLICABLE
        return ScoreOutcome(
            name=self.name,
            weight=self.weight,
            status=status,
            error=text,
            duration_s=self.duration_s,
        )

    def _took(self, started: float) -> None:
        self.duration_s = time.perf_counter() - started


def _is_absent(value: Any) -> bool:
    """Whether TRL leaves the value out of the reward."""
    return value is None or math.isnan(float(value))


def recording_scorer(function: Callable[..., Any], scoring: Scoring) -> Callable[..., Any]:
    """A reward function that notes in `scoring` what it did."""

    def score(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            values = function(*args, **kwargs)
            scoring.returned = list(values)
        except BaseException as error:
            scoring.error = error
            raise
        finally:
            scoring._took(started)
        return values

    return score


def recording_async_scorer(function: Callable[..., Any], scoring: Scoring) -> Callable[..., Any]:
    """The same for one that returns a coroutine."""

    async def score(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            values = await function(*args, **kwargs)
            scoring.returned = list(values)
        except BaseException as error:
            scoring.error = error
            raise
        finally:
            scoring._took(started)
        return values

    return score


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The rewards of this process's rollouts, in batch order.

    values: by component, NaN where it does not apply. totals: the weighted sums, NaN where no
    component applies.
    """

    scorings: Sequence[Scoring] = field(default=())
    values: Sequence[Sequence[float]] = ()
    totals: Sequence[float] = ()
