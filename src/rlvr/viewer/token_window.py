"""Which tokens a page shows: a window of all training sequences, and the place that a URL names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.analysis.token_table import TokenTable
from rlvr.errors import ConfigurationError, RecordNotFound
from rlvr.utils.places import token_anchor
from rlvr.views.terminal.text import plural

WINDOW = 16_384
"""Tokens of one page: a browser draws them in well under a second."""

_AT = re.compile(r"(?:(\d{1,6}):)?(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
_NEAR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The tokens that a URL points at: `first` to `last`, both included, of a training sequence."""

    sequence: int
    first: int
    last: int

    @property
    def anchor(self) -> str:
        """The anchor of the first."""
        return token_anchor(self.sequence, self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of all training sequences, one after the other, that a page shows."""

    page: int
    pages: int
    start: int
    stop: int
    total: int

    @property
    def note(self) -> str:
        """Which tokens of how many are shown."""
        if self.pages == 1:
            return plural(self.total, "token")
        return f"Tokens {self.start:,} to {self.stop - 1:,} of {self.total:,}"

    @property
    def near(self) -> list[tuple[int, str]]:
        """(page, its tokens) of the pages around this one and of both ends; [] if it is alone."""
        if self.pages == 1:
            return []
        near = {1, self.pages, *range(self.page - _NEAR, self.page + _NEAR + 1)}
        return [
            (page, f"{(page - 1) * WINDOW:,}–{min(page * WINDOW, self.total) - 1:,}")
            for page in sorted(near)
            if 1 <= page <= self.pages
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The tokens `start` to `stop` of one training sequence."""

    sequence: int
    start: int
    stop: int


def marked_of(
    text: str | None, tables: Sequence[TokenTable], untrained: Sequence[Sequence[int]]
) -> Marked | None:
    """The place that a URL points at: "117", "1:117" or "117-130".

    Raises:
        ConfigurationError: it is no place.
        RecordNotFound: there is no such token.
    """
    if text is None:
        return None
    found = _AT.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"at is {text!r}; write 117, 1:117 for training sequence 1, or 117-130."
        )
    sequence, first = int(found[1] or 0), int(found[2])
    last = max(int(found[3] or first), first)
    count = len(tables) + len(untrained)
    if sequence >= count:
        has = f"there are {count}, from 0" if count else "there is none"
        raise RecordNotFound(f"there is no training sequence {sequence}; {has}.")
    if sequence < len(tables):
        length = len(tables[sequence])
        if first >= length + (length in tables[sequence].missing):
            raise RecordNotFound(
                f"training sequence {sequence} has no token {first:,}; it has {length:,}, from 0."
            )
        last = min(last, max(length - 1, first))
    return Marked(sequence=sequence, first=first, last=last)


def pages_of(tables: Sequence[TokenTable]) -> int:
    """How many windows the tokens of all sequences take."""
    return max(-(-sum(map(len, tables)) // WINDOW), 1)


def page_of(tables: Sequence[TokenTable], marked: Marked) -> int:
    """The window that has a place."""
    before = sum(len(table) for table in tables[: marked.sequence])
    return min((before + marked.first) // WINDOW + 1, pages_of(tables))


def window_of(tables: Sequence[TokenTable], page: int) -> Window:
    """One window, from 1 on."""
    total, start = sum(map(len, tables)), (page - 1) * WINDOW
    return Window(
        page=page,
        pages=pages_of(tables),
        start=start,
        stop=min(start + WINDOW, total),
        total=total,
    )


def pieces_of(tables: Sequence[TokenTable], window: Window) -> list[Piece]:
    """The part of each sequence that is in the window; an empty one is in the first."""
    pieces, offset = [], 0
    for at, table in enumerate(tables):
        start = max(window.start - offset, 0)
        stop = min(window.stop - offset, len(table))
        offset += len(table)
        if start < stop or (len(table) == 0 and window.page == 1):
            pieces.append(Piece(sequence=at, start=start, stop=stop))
    return pieces


def divergences_beside(
    tables: Sequence[TokenTable], window: Window
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """(sequence, place) of the nearest divergence before the window, and after it."""
    before: tuple[int, int] | None = None
    offset = 0
    for at, table in enumerate(tables):
        for place in table.divergences.tolist():
            stands = offset + min(place, len(table) - 1)
            if stands < window.start:
                before = at, place
            elif stands >= window.stop:
                return before, (at, place)
        offset += len(table)
    return before, None
