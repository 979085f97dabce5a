"""A problem with its exact answer, and the rows it is read from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.environments.math_python.core.answers import boxed_answers
from rlvr.errors import ConfigurationError

QUESTION_COLUMNS = ("question", "problem", "prompt")
ANSWER_COLUMNS = ("answer", "final_answer", "solution")


@dataclass(frozen=True, slots=True, kw_only=True)
class MathExample:
    """One problem. `answer` is LaTeX, exact. `level` says how hard it is, where the row does."""

    id: str
    question: str
    answer: str
    level: int | None = None


def parse_example(row: Mapping[str, Any]) -> MathExample:
    r"""Read one row: a problem and its answer, under any of the usual names.

    An answer that holds a `\boxed{}` or a line `#### ...` (as MATH and GSM8K write their solutions)
    is what stands there; otherwise it is the whole text.

    Raises:
        ConfigurationError: a column is missing, or a value is no text or number.
    """
    question = _first(row, QUESTION_COLUMNS)
    answer = gold_answer(_first(row, ANSWER_COLUMNS))
    identity = row.get("id") or row.get("unique_id") or question
    return MathExample(
        id=_text(identity), question=question, answer=answer, level=_level(row.get("level"))
    )


def gold_answer(text: str) -> str:
    """The final answer in a solution.

    Raises:
        ConfigurationError: there is none.
    """
    boxes = boxed_answers(text)
    marked = re.findall(r"^####(.*)$", text, re.MULTILINE)
    answer = boxes[-1] if boxes else marked[-1] if marked else text
    if not answer.strip():
        raise ConfigurationError("the answer is empty; leave such rows out")
    return answer.strip().strip("$").strip()


def to_row(example: MathExample) -> dict[str, Any]:
    """The example as a JSON-serialisable row that `parse_example` reads."""
    return {
        "id": example.id,
        "question": example.question,
        "answer": example.answer,
        "level": example.level,
    }


def _first(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    for column in columns:
        value = row.get(column)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return _text(value)
    raise ConfigurationError(
        f"the row has no text or number under {' or '.join(columns)} (it has "
        f"{', '.join(map(str, row)) or 'nothing'}); rename its columns"
    )


def _level(value: Any) -> int | None:
    """A number, also of "Level 5"; None where there is none."""
    digits = re.search(r"\d{1,6}", str(value)) if value is not None else None
    return int(digits[0]) if digits else None


def _text(value: Any) -> str:
    """Text that can be encoded: lone surrogates, which JSON files may hold, become "?"."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
