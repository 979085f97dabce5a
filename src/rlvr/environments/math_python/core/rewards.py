r"""The reward of a completion, by components.

The weights add up to 1, and correctness has 0.8 of it: a wrong answer earns at most 0.2, a quarter
of the 0.8 that every right one earns. What has weight 0 is counted only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rlvr.environments.math_python.core.answers import boxed_answers, last_answer
from rlvr.environments.math_python.core.grading import Grade, Outcome
from rlvr.environments.math_python.core.tool import ERROR
from rlvr.environments.messages import final_text, message_text, messages_of

CORRECT = "correct"
GRADED = ("answer_parsed", "scorer_failed")
WEIGHTS: Mapping[str, float] = {
    CORRECT: 0.8,
    "format": 0.1,
    "tool_use": 0.1,
    "answer_parsed": 0.0,
    "scorer_failed": 0.0,
    "tool_calls": 0.0,
    "tool_errors": 0.0,
}
"""Every component, in the order in which they are computed: grading comes first."""


class ScorerFailed(RuntimeError):
    """The scorer could not say whether an answer is right."""


class ScorerTimedOut(ScorerFailed, TimeoutError):
    """The scorer was stopped before it could say whether an answer is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What counts of a completion: its last message, and its tool results."""

    text: str
    results: tuple[str, ...]

    @property
    def answer(self) -> str | None:
        """The content of the last box in the last message, or None."""
        return last_answer(self.text)


def read_outline(completion: object) -> Outline:
    """Read a completion's messages; odd ones only hold less."""
    results = (m for m in messages_of(completion) if m.get("role") == "tool")
    return Outline(
        text=final_text(completion), results=tuple(message_text(message) for message in results)
    )


def correct(grade: Grade) -> float:
    """1.0 for a right answer, 0.0 for a wrong, an unreadable and a missing one.

    Raises:
        ScorerTimedOut, ScorerFailed: nothing is known, which must not look like a wrong answer.
    """
    if grade.outcome is Outcome.TIMEOUT:
        raise ScorerTimedOut(grade.reason)
    if grade.outcome is Outcome.ERROR:
        raise ScorerFailed(grade.reason)
    return float(grade.outcome is Outcome.RIGHT)


def answer_parsed(grade: Grade) -> float:
    """1.0 if the answer could be read, which tells a wrong one from an unreadable one."""
    return float(grade.outcome in (Outcome.RIGHT, Outcome.WRONG))


def scorer_failed(grade: Grade) -> float:
    """1.0 if the scorer failed or was stopped; also where exceptions are swallowed on the way."""
    return float(grade.failed)


def format_validity(outline: Outline) -> float:
    """1.0 if the last message has exactly one box, and something in it."""
    boxes = boxed_answers(outline.text)
    return float(len(boxes) == 1 and bool(boxes[0]))


def tool_use(outline: Outline) -> float:
    """1.0 if at least one call of the tool came to its end without an error."""
    return float(any(not result.startswith(ERROR) for result in outline.results))


def tool_calls(outline: Outline) -> float:
    """How many calls were answered."""
    return float(len(outline.results))


def tool_errors(outline: Outline) -> float:
    """How many of them were answered with an error."""
    return float(sum(result.startswith(ERROR) for result in outline.results))


OF_GRADE: Mapping[str, Callable[[Grade], float]] = {
    CORRECT: correct,
    "answer_parsed": answer_parsed,
    "scorer_failed": scorer_failed,
}
OF_OUTLINE: Mapping[str, Callable[[Outline], float]] = {
    "format": format_validity,
    "tool_use": tool_use,
    "tool_calls": tool_calls,
    "tool_errors": tool_errors,
}


def missing_answer() -> Grade:
    """The grade of a completion without an answer; there is nothing to ask a scorer."""
    return Grade(outcome=Outcome.UNPARSABLE, reason="the last message has no answer in a box")


def total(values: Mapping[str, float]) -> float:
    """The reward that the values of the components add up to."""
    return sum(weight * values[name] for name, weight in WEIGHTS.items())
