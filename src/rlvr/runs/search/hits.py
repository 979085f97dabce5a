"""What is shown of each trajectory that was found: the line with the match, from the record itself.

The words are found in a record by the tokenizer that indexed it, in a small database in memory.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from rlvr.codec import unpack
from rlvr.errors import UndecodableText
from rlvr.runs.search.database import TOKENIZER, windows
from rlvr.runs.search.pieces import CONTENT, Piece, pieces, words_of
from rlvr.runs.search.query import Role

SHOWN = ("id", "mode", "step", "group_id", "sample", "reward", "advantage")
READ = (*SHOWN, *CONTENT)
_WINDOW_CHARS = 1_000_000

Span = tuple[int, int]
FindSpans = Callable[[Sequence[Piece]], Iterable[tuple[int, Span]]]
"""Finds matches in texts: (which of them, (start, stop))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A trajectory that was found, and the place in it that shows best why.

    `context` is the text around the first match of that place, on one line, and `marks` where in it
    the matches are. `message` is the place in prompt and completion, `turn` the assistant turn that
    shows it; None for the question, the answer, and raw tool results (no message). `text_chars` is
    the length of the text that the context is from. `matches` and `texts` count the matches of the
    whole trajectory, and the texts with any.
    """

    id: str
    mode: str
    step: int
    group_id: str
    sample: int
    reward: float | None
    advantage: float | None
    role: Role | None = None
    turn: int | None = None
    message: int | None = None
    context: str = ""
    marks: tuple[Span, ...] = ()
    text_chars: int = 0
    matches: int = 0
    texts: int = 0
    superseded: bool = False


def hit(row: Mapping[str, Any], spans: FindSpans, *, context: int, superseded: bool) -> SearchHit:
    """The hit of a row with the columns READ; `context` characters are shown about."""
    shown: dict[str, Any] = {name: _unpacked(row[name]) for name in SHOWN}
    found: dict[int, list[Span]] = {}
    try:
        texts = list(pieces(row))
    except UndecodableText:
        texts = []
    for at, span in spans(texts):
        found.setdefault(at, []).append(span)
    if not found:
        return SearchHit(**shown, superseded=superseded)
    best = max(found, key=lambda at: _worth(at, texts[at], found[at]))
    line, marks = _context(texts[best].text, found[best], context)
    return SearchHit(
        **shown,
        role=texts[best].role,
        turn=texts[best].turn,
        message=texts[best].message,
        context=line,
        marks=marks,
        text_chars=len(texts[best].text),
        matches=sum(map(len, found.values())),
        texts=len(found),
        superseded=superseded,
    )


@contextmanager
def word_spans(places: str) -> Iterator[FindSpans]:
    """Finds what the expression matches in texts."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        columns = ", ".join(Role)
        connection.execute(
            f"CREATE VIRTUAL TABLE shown USING fts5({columns}, tokenize='{TOKENIZER}')"
        )

        def find(texts: Sequence[Piece]) -> Iterator[tuple[int, Span]]:
            for window in _windows(texts):
                yield from _in_window(connection, places, window)

        yield find


def text_spans(needle: str, roles: Sequence[Role]) -> FindSpans:
    """Finds a text as it is written."""

    def find(texts: Sequence[Piece]) -> Iterator[tuple[int, Span]]:
        for at, piece in enumerate(texts):
            if not roles or piece.role in roles:
                start = piece.text.find(needle)
                while start >= 0:
                    yield at, (start, start + len(needle))
                    start = piece.text.find(needle, start + len(needle))

    return find


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A part of one of the texts: which, its role, where it begins."""

    at: int
    role: Role
    start: int
    text: str


def _windows(texts: Sequence[Piece]) -> Iterator[list[_Window]]:
    """The texts in batches of about _WINDOW_CHARS, long ones in parts."""
    batch: list[_Window] = []
    held = 0
    for at, piece in enumerate(texts):
        start = 0
        for text in windows(words_of(piece.text), _WINDOW_CHARS):
            if batch and held + len(text) > _WINDOW_CHARS:
                yield batch
                batch, held = [], 0
            batch.append(_Window(at=at, role=piece.role, start=start, text=text))
            start += len(text)
            held += len(text)
    if batch:
        yield batch


def _in_window(
    connection: sqlite3.Connection, places: str, batch: Sequence[_Window]
) -> Iterator[tuple[int, Span]]:
    mark = _unused([window.text for window in batch])
    connection.execute("DELETE FROM shown")
    connection.execute("BEGIN")
    for no, window in enumerate(batch):
        connection.execute(
            f"INSERT INTO shown (rowid, {window.role}) VALUES (?, ?)",
            (no, window.text),
        )
    connection.execute("COMMIT")
    highlights = ", ".join(f"highlight(shown, {at}, ?2, ?3)" for at in range(len(Role)))
    rows = connection.execute(
        f"SELECT rowid, {highlights} FROM shown WHERE shown MATCH ?1 ORDER BY rowid",
        (places, mark, mark),
    )
    order = {role: at for at, role in enumerate(Role, 1)}
    for row in rows:
        window = batch[row[0]]
        for start, stop in _marked(row[order[window.role]], mark):
            yield window.at, (window.start + start, window.start + stop)


def _unused(texts: Sequence[str]) -> str:
    """A text of characters that mean nothing, which none of the texts holds."""
    mark = "\ufdd0"
    while any(mark in text for text in texts):
        mark += "\ufdd1"
    return mark


def _marked(text: str, mark: str) -> Iterator[Span]:
    """Where, in the text without them, the marks stand around something."""
    parts = text.split(mark)
    at = 0
    for place, part in enumerate(parts):
        if place % 2:
            yield at, at + len(part)
        at += len(part)


def _unpacked(value: Any) -> Any:
    return unpack(value) if isinstance(value, str) else value


def _worth(at: int, piece: Piece, spans: Sequence[Span]) -> tuple[int, bool, int]:
    """By how many different words match, whether it is of this rollout's turns, and how early."""
    different = {piece.text[start:stop].casefold() for start, stop in spans[:200]}
    return len(different), piece.turn is not None, -at


def _context(text: str, spans: Sequence[Span], chars: int) -> tuple[str, tuple[Span, ...]]:
    """The text around the first span on one line, white space as single blanks, and the spans."""
    first, stop = spans[0]
    stop = min(stop, first + chars)
    room = max(chars - (stop - first), 0)
    start = max(first - room // 3, 0)
    end = min(stop + room - (first - start), len(text))
    line = "…" if start else ""
    marks = []
    bounds = [(max(a, start), min(b, end)) for a, b in spans if a < end and b > start]
    at = start
    for a, b in bounds:
        line = _joined(line, text[at:a])
        begins = len(line)
        line = _joined(line, text[a:b])
        marks.append((begins, len(line)))
        at = b
    line = _joined(line, text[at:end]).rstrip()
    return line + ("…" if end < len(text) else ""), tuple(marks)


def _joined(line: str, text: str) -> str:
    """The line and the text after it, with runs of white space as one blank."""
    words = " ".join(text.split())
    lead = " " if text[:1].isspace() and line and not line.endswith((" ", "…")) else ""
    trail = " " if words and text[-1:].isspace() else ""
    return line + lead + words + trail
