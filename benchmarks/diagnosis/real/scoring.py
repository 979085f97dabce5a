"""Scorers that go wrong: wrapped around those of an environment, for either trainer.

Each wrapped scorer first asks the sound one, so that the true outcome of every rollout is known
whatever the training was told.
"""

import contextlib
import inspect
import itertools
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.diagnosis.real.injections import Clock, Switch

from rlvr.environments.math_python.verifiers import GRADE_KEY
from rlvr.environments.messages import message_text, messages_of
from rlvr.trainers.shims import math_verify_in_any_thread

__all__ = ["SCORING", "ScorerDown", "Scoring", "Truth", "tamper_rewards", "tamper_rubric"]

LOUD_LENGTH = 100.0  # characters that earn as much as a right answer
CALL_WORTH = 1.0
NOISE = 1e-3
_UNIT_KEY = "rollout_number"
OUTCOMES = ("exact_match", "correct", "correct_answer_reward_func")


class ScorerDown(ConnectionError):
    """What the injected scorer raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What is scored: the messages, and the names of its group and of itself within the step."""

    completion: Any
    group: str
    unit: str


class Truth:
    """The true mean outcome of each step."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[int, list[float]] = defaultdict(list)

    def add(self, value: float | None) -> None:
        """One rollout's outcome; None where nobody knows it."""
        if value is not None:
            self._values[self._clock()].append(value)

    @property
    def by_step(self) -> dict[int, float]:
        """The mean of each step that has outcomes."""
        return {step: sum(all) / len(all) for step, all in sorted(self._values.items())}


class Scoring:
    """A fault of the scorer; this one changes nothing.

    `extra` is the component that it adds, if any: its name with its weight.
    """

    extra: ClassVar[Mapping[str, float]] = {}

    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    def given(self, rollout: Rollout) -> Any:
        """The messages that the scorer sees."""
        return rollout.completion

    def value(self, _: str, value: float | None, __: Rollout) -> float | None:
        """The value of a component instead of `value`. Raises ScorerDown where that is it."""
        return value

    def swallows(self, _: Rollout) -> bool:
        """Whether math_verify is asked as it is shipped, in the thread of the rollouts."""
        return False

    def add(self, rollout: Rollout) -> float:
        """The value of the component of `extra`."""
        raise NotImplementedError


class Raises(Scoring):
    def value(self, name: str, value: float | None, rollout: Rollout) -> float | None:
        if name in OUTCOMES and self.switch.hits(rollout.unit):
            raise ScorerDown("the judge does not answer: connection refused")
        return value


class Constant(Scoring):
    def value(self, _: str, value: float | None, rollout: Rollout) -> float | None:
        return 0.0 if self.switch.hits(rollout.group) else value


class Silent(Scoring):
    def value(self, name: str, value: float | None, rollout: Rollout) -> float | None:
        return 0.0 if name in OUTCOMES and self.switch.hits(rollout.unit) else value


class OffMainThread(Scoring):
    def swallows(self, rollout: Rollout) -> bool:
        return self.switch.hits(rollout.unit)


class WrongTag(Scoring):
    def given(self, rollout: Rollout) -> Any:
        if not self.switch.hits(rollout.unit):
            return rollout.completion
        return [
            {**message, "content": _untagged(message_text(message))}
            if message.get("role") == "assistant"
            else message
            for message in messages_of(rollout.completion)
        ]


class CallsPay(Scoring):
    extra: ClassVar = {"num_calls": CALL_WORTH}

    def add(self, rollout: Rollout) -> float:
        if not self.switch.hits(rollout.group):
            return 0.0
        return float(sum(m.get("role") == "tool" for m in messages_of(rollout.completion)))


class LengthPays(Scoring):
    extra: ClassVar = {"thoroughness": 1.0}

    def add(self, rollout: Rollout) -> float:
        if not self.switch.hits(rollout.group):
            return 0.0
        written = [m for m in messages_of(rollout.completion) if m.get("role") == "assistant"]
        return sum(len(message_text(message)) for message in written) / LOUD_LENGTH


class NoiseDecides(Constant):
    extra: ClassVar = {"style": 1.0}

    def add(self, _: Rollout) -> float:
        return NOISE * random.random()  # draws nothing that must be repeated


SCORING: Mapping[str, type[Scoring]] = {
    "scorer_raises": Raises,
    "constant_scorer": Constant,
    "silent_scorer": Silent,
    "off_main_thread": OffMainThread,
    "wrong_tag": WrongTag,
    "calls_pay": CallsPay,
    "length_pays": LengthPays,
    "noise_decides": NoiseDecides,
}
"""The faults of scorers, by name."""


def _untagged(text: str) -> str:
    return text.replace("answer>", "final>").replace(r"\boxed", r"\fbox")


def tamper_rubric(rubric: Any, faults: Sequence[Scoring], truth: Truth, outcome: str) -> None:
    """Wrap the functions of a verifiers rubric in place, and add what the faults add."""
    units = itertools.count()

    def rollout_of(given: Mapping[str, Any]) -> Rollout:
        row = given.get("info") or {}
        return Rollout(
            completion=given["completion"],
            group=str(row.get("id", given.get("answer"))),
            unit=str(given["state"].setdefault(_UNIT_KEY, next(units))),
        )

    rubric.reward_funcs[:] = [
        _rubric_function(function, rollout_of, faults, truth if name == outcome else None)
        for name, function in zip(
            rubric.get_reward_func_names(), list(rubric.reward_funcs), strict=True
        )
    ]
    for fault in faults:
        for name, weight in fault.extra.items():
            rubric.add_reward_func(_rubric_extra(name, rollout_of, fault), weight=weight)


def _rubric_function(
    function: Callable[..., Any],
    rollout_of: Callable[[Mapping[str, Any]], Rollout],
    faults: Sequence[Scoring],
    truth: Truth | None,
) -> Callable[..., Awaitable[float]]:
    async def scored(**given: Any) -> float:
        rollout = rollout_of(given)
        value = await _asked(function, given, sound=True)
        if truth is not None:
            truth.add(value)
        for fault in faults:
            seen = fault.given(rollout)
            if seen is not rollout.completion:
                value = await _asked(function, _ungraded(given, seen), sound=True)
            if fault.swallows(rollout):
                value = await _asked(function, given, sound=False)
        return _tampered(function.__name__, value, rollout, faults) or 0.0

    scored.__name__ = scored.__qualname__ = function.__name__
    return scored


def _ungraded(given: Mapping[str, Any], completion: Any) -> dict[str, Any]:
    """The same with another completion, and without the grade that its state keeps."""
    state = {key: value for key, value in given["state"].items() if key != GRADE_KEY}
    return {**given, "completion": completion, "state": state}


async def _asked(function: Callable[..., Any], given: Mapping[str, Any], *, sound: bool) -> float:
    """The function's own value; with math_verify repaired if `sound`."""
    taken = inspect.signature(function).parameters
    if not any(kind.kind is inspect.Parameter.VAR_KEYWORD for kind in taken.values()):
        given = {key: value for key, value in given.items() if key in taken}
    if inspect.iscoroutinefunction(function):
        return float(await function(**given))
    repaired = math_verify_in_any_thread(lambda: None) if sound else contextlib.nullcontext()
    with repaired:
        return float(function(**given))


def _rubric_extra(
    name: str, rollout_of: Callable[[Mapping[str, Any]], Rollout], fault: Scoring
) -> Callable[..., float]:
    def scored(**given: Any) -> float:
        return fault.add(rollout_of(given))

    scored.__name__ = scored.__qualname__ = name
    return scored


def _tampered(
    name: str, value: float | None, rollout: Rollout, faults: Sequence[Scoring]
) -> float | None:
    for fault in faults:
        value = fault.value(name, value, rollout)
    return value


def tamper_rewards(
    functions: Sequence[Callable[..., Any]],
    weights: Sequence[float],
    faults: Sequence[Scoring],
    truth: Truth,
    outcome: str,
) -> tuple[list[Callable[..., Any]], list[float]]:
    """TRL's reward functions, wrapped, with what the faults add; and their weights."""
    wrapped = [
        _trl_function(function, faults, truth if function.__name__ == outcome else None)
        for function in functions
    ]
    extra = [(fault, name, weight) for fault in faults for name, weight in fault.extra.items()]
    return (
        wrapped + [_trl_extra(name, fault) for fault, name, _ in extra],
        [*weights, *(weight for *_, weight in extra)],
    )


def _trl_function(
    function: Callable[..., Any], faults: Sequence[Scoring], truth: Truth | None
) -> Callable[..., Any]:
    def scored(completions: Sequence[Any], info: Sequence[Any], **_: Any) -> list[float | None]:
        values = []
        rollouts = _of_batch(completions, info)
        sound = function(completions=completions, info=info)
        for rollout, row, value in zip(rollouts, info, sound, strict=True):
            if truth is not None:
                truth.add(value)
            for fault in faults:
                seen = fault.given(rollout)
                if seen is not rollout.completion:
                    (value,) = function(completions=[seen], info=[row])  # noqa: PLW2901
            try:
                values.append(_tampered(function.__name__, value, rollout, faults))
            except ScorerDown:  # raising would end TRL's training: None is its word for it
                values.append(None)
        return values

    scored.__name__ = scored.__qualname__ = function.__name__
    return scored


def _trl_extra(name: str, fault: Scoring) -> Callable[..., list[float]]:
    def scored(completions: Sequence[Any], info: Sequence[Any], **_: Any) -> list[float]:
        return [fault.add(rollout) for rollout in _of_batch(completions, info)]

    scored.__name__ = scored.__qualname__ = name
    return scored


def _of_batch(completions: Sequence[Any], info: Sequence[Any]) -> list[Rollout]:
    return [
        Rollout(completion=completion, group=str(row["id"]), unit=f"row {place}")
        for place, (completion, row) in enumerate(zip(completions, info, strict=True))
    ]
