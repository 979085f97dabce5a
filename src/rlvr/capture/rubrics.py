"""A view of a verifiers rubric that notes what every scorer did, exceptions included."""

import copy
import functools
import inspect
import time
from collections.abc import Callable
from typing import Any

from verifiers.rubrics.rubric import Rubric

from rlvr.capture.rollout import CAPTURE_KEY, CURRENT_SCORE, RolloutCapture, ScoreOutcome, current
from rlvr.record import ScoreStatus


def scorer_timed_out() -> None:
    """Note that the scorer which is running was stopped for taking too long."""
    outcome = CURRENT_SCORE.get()
    if outcome is not None:
        outcome.status = ScoreStatus.TIMEOUT
        outcome.error = "TimeoutError: stopped after the scorer's own time limit"


def recording_rubric(rubric: Any, *, unique: bool, taken: set[str] | None = None) -> Any:
    """Return a recording view of a `Rubric`, or of a group of them.

    The library turns an exception of a scorer into 0.0; the view notes it in the rollout's capture
    first. With `unique`, functions that share a `__name__` are told apart by a number, where the
    library would let the last one's value stand for all.
    """
    names = set() if taken is None else taken
    view = copy.copy(rubric)
    kind = type(rubric)
    members = {
        "__module__": kind.__module__,
        # Weights that are changed during training count from then on.
        "reward_weights": property(lambda _: rubric.reward_weights),
    }
    view.__class__ = type(kind.__name__, (_RecordingRubric, kind), members)
    if "rubrics" in vars(rubric):
        view.rubrics = [
            recording_rubric(inner, unique=unique, taken=names) for inner in rubric.rubrics
        ]
    view.reward_funcs = []
    for func in rubric.reward_funcs:
        name = _unused(func.__name__, names) if unique else func.__name__
        view.reward_funcs.append(_recording_scorer(func, name))
    return view


def _unused(name: str, taken: set[str]) -> str:
    chosen, number = name, 2
    while chosen in taken:
        chosen, number = f"{name}_{number}", number + 1
    taken.add(chosen)
    return chosen


def _recording_scorer(func: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(func)
    async def score(*args: Any, **kwargs: Any) -> Any:
        try:
            value = func(*args, **kwargs)
            return await value if inspect.isawaitable(value) else value
        except Exception as error:
            outcome = CURRENT_SCORE.get()
            if outcome is not None:
                timed_out = isinstance(error, TimeoutError)
                outcome.status = ScoreStatus.TIMEOUT if timed_out else ScoreStatus.ERROR
                outcome.error = f"{type(error).__name__}: {error}"
            raise

    score.__name__ = name
    return score


class _RecordingRubric(Rubric):  # type: ignore[misc]  # verifiers has no types
    async def call_reward_func(self, func: Any, *args: Any, **kwargs: Any) -> float:
        weights = zip(self.reward_funcs, self.reward_weights, strict=False)
        weight = next((weight for known, weight in weights if known is func), None)
        outcome = ScoreOutcome(name=func.__name__, weight=weight)
        started = time.perf_counter()
        with current(CURRENT_SCORE, outcome):
            value = await super().call_reward_func(func, *args, **kwargs)
        outcome.duration_s = time.perf_counter() - started
        state = kwargs.get("state") or {}
        capture: RolloutCapture | None = state.get(CAPTURE_KEY)
        if capture is not None:
            capture.scores[outcome.name] = outcome
        return float(value)
