r"""Whether an answer is right, by math-verify; and what else can come of asking.

`grade` is called in a process of its own (`grader.py`), which may take too long or die.
"""

from dataclasses import dataclass
from enum import StrEnum

LONGEST_ANSWER = 4000


class Outcome(StrEnum):
    """What came of grading one answer. Only `right` is worth anything."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSABLE = "unparsable"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The outcome, a reason where there is one, and the seconds that it took."""

    outcome: Outcome
    reason: str | None = None
    duration_s: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the scorer failed, so that nothing is known of the answer."""
        return self.outcome in (Outcome.TIMEOUT, Outcome.ERROR)


def grade(gold: str, answer: str) -> Grade:
    """Compare an answer with the gold one, both as LaTeX without a box.

    math-verify's own time limits are off: they are alarms, which only the main thread may set.
    Its comparison is not symmetric, and the gold answer comes first. Exceptions are not caught.
    """
    from math_verify import parse, verify
    from sympy import Basic, MatrixBase

    def read(text: str) -> list[object]:
        parsed: list[object] = parse(
            rf"\boxed{{{text}}}", parsing_timeout=None, raise_on_error=True
        )
        return parsed

    right = read(gold)
    if not right:
        return Grade(outcome=Outcome.ERROR, reason=f"the gold answer {gold!r} does not parse")
    given = read(answer)
    if given and verify(right, given, timeout_seconds=None, raise_on_error=True):
        return Grade(outcome=Outcome.RIGHT)
    if not any(isinstance(part, Basic | MatrixBase) for part in given):
        return Grade(outcome=Outcome.UNPARSABLE, reason="math-verify can't read the answer")
    return Grade(outcome=Outcome.WRONG)
