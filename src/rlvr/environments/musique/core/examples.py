"""A MuSiQue question with its paragraphs, and the rows it is read from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.errors import ConfigurationError

COLUMNS = ("id", "question", "answer", "paragraphs")
PARAGRAPH_COLUMNS = ("idx", "title", "paragraph_text", "is_supporting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """One document of a question. `idx` is the id under which a model sees and cites it."""

    idx: int
    title: str
    body: str
    supporting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MusiqueExample:
    """One question. `aliases` are further right answers; `hops` says how many steps it takes."""

    id: str
    question: str
    answer: str
    aliases: tuple[str, ...] = ()
    hops: int
    paragraphs: tuple[Paragraph, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        """Every right answer: the answer itself, then its aliases. Blank ones are left out."""
        return tuple(text for text in (self.answer, *self.aliases) if text.strip())

    @property
    def supporting(self) -> frozenset[int]:
        """The ids of the paragraphs that the answer rests on."""
        return frozenset(paragraph.idx for paragraph in self.paragraphs if paragraph.supporting)


def parse_example(row: Mapping[str, Any]) -> MusiqueExample:
    """Read one row of the MuSiQue schema; `answer_aliases` and `question_decomposition` may lack.

    Raises:
        ConfigurationError: a column is missing, or a value has another type than MuSiQue's.
    """
    _require(row, COLUMNS, what="the row")
    paragraphs = _paragraphs(row["paragraphs"])
    for paragraph in paragraphs:
        _require(paragraph, PARAGRAPH_COLUMNS, what=f"a paragraph of question {row['id']!r}")
    parsed = tuple(_paragraph(paragraph) for paragraph in paragraphs)
    return MusiqueExample(
        id=_text(row["id"]),
        question=_text(row["question"]),
        answer=_text(row["answer"]),
        aliases=tuple(_text(alias) for alias in row.get("answer_aliases") or () if alias),
        hops=_hops(row, parsed),
        paragraphs=parsed,
    )


def to_row(example: MusiqueExample) -> dict[str, Any]:
    """The example as a JSON-serialisable row of the MuSiQue schema, with `hops` beside."""
    return {
        "id": example.id,
        "question": example.question,
        "answer": example.answer,
        "answer_aliases": list(example.aliases),
        "hops": example.hops,
        "paragraphs": [
            {
                "idx": paragraph.idx,
                "title": paragraph.title,
                "paragraph_text": paragraph.body,
                "is_supporting": paragraph.supporting,
            }
            for paragraph in example.paragraphs
        ],
    }


def _require(row: Mapping[str, Any], columns: Sequence[str], *, what: str) -> None:
    missing = [column for column in columns if column not in row]
    if missing:
        raise ConfigurationError(
            f"{what} lacks {', '.join(missing)} (it has {', '.join(map(str, row)) or 'nothing'}); "
            f"rename the columns to MuSiQue's: {', '.join(columns)}"
        )


def _paragraphs(value: Any) -> Sequence[Mapping[str, Any]]:
    """Accept a list of structs, and the struct of lists that older `datasets` make of it."""
    if isinstance(value, Mapping):
        columns = list(value)
        return [
            dict(zip(columns, cells, strict=True)) for cells in zip(*value.values(), strict=True)
        ]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    raise ConfigurationError(
        f"`paragraphs` is of type {type(value).__name__}; MuSiQue's is a list of structs with "
        f"{', '.join(PARAGRAPH_COLUMNS)}"
    )


def _paragraph(row: Mapping[str, Any]) -> Paragraph:
    return Paragraph(
        idx=int(row["idx"]),
        title=_text(row["title"]),
        body=_text(row["paragraph_text"]),
        supporting=bool(row["is_supporting"]),
    )


def _hops(row: Mapping[str, Any], paragraphs: Sequence[Paragraph]) -> int:
    """Hops from the column, the id ("3hop1__..."), the decomposition, or the supporting ones."""
    if row.get("hops"):
        return int(row["hops"])
    prefix = re.match(r"(\d+)hop", str(row["id"]))
    if prefix:
        return int(prefix[1])
    decomposition = row.get("question_decomposition")
    if decomposition:
        return len(_paragraphs(decomposition))
    return sum(paragraph.supporting for paragraph in paragraphs)


def _text(value: Any) -> str:
    """Text that can be encoded: lone surrogates, which JSON files may hold, become "?"."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")
