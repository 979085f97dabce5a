"""Tokens flowing as text in lines of one kind: trained or not, seen by attention or not."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from rlvr.analysis.strips import Measures, Section, StripToken, measures
from rlvr.views.terminal.text import inert

PLAIN_ROOM = 84
"""Cells of text in a line, at most."""

HEAD, TAIL, FOLD = 4, 2, 10
"""A section of more than FOLD lines keeps its first and last ones, and some that bear marks."""

MARKED = 12
"""So many marked lines are kept of a folded section."""

_VISIBLE = str.maketrans({"\n": "⏎", "\t": "⇥", "\r": "␍"})
_MISSING_CELLS = 30
_UNSEEN = "dim strike"
_FAR = "bold red underline"
_OTHER = "bold yellow"
_MISSING = "yellow"

COLOURS = (
    (math.log(0.5), "green"),
    (math.log(0.1), "yellow"),
    (math.log(0.01), "dark_orange"),
    (-math.inf, "red"),
)
"""From which logprob of the trainer on a trained token has which colour."""

COLOUR_MEANINGS = ("from 0.5", "from 0.1", "from 0.01", "less")


class Vocabulary:
    """Texts of token ids, made inert."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    @property
    def known(self) -> bool:
        """Whether there is any text."""
        return bool(self._texts)

    def text(self, id: int) -> str:
        """The text of an id, newlines as marks; the id itself where it has none."""
        if not 0 <= id < len(self._texts):
            return f"‹{id}›"
        return inert(self._texts[id].translate(_VISIBLE))

    def quoted(self, token: StripToken, limit: int) -> Text:
        """The text of one token, its spaces visible, cut at about `limit` characters."""
        shown = self.text(token.id).replace(" ", "␣")
        return Text(shown if len(shown) <= limit else f"{shown[: limit - 1]}…")


@dataclass(frozen=True, slots=True, kw_only=True)
class StripLine:
    """Tokens of one kind from `start` on, and what is known of them together."""

    start: int
    in_loss: bool
    unseen: bool
    text: Text
    measures: Measures

    @property
    def marked(self) -> bool:
        """Whether something in it is to be looked at."""
        found = self.measures
        return bool(found.far or found.other or found.missing)


def strip_lines(section: Section, vocabulary: Vocabulary, room: int) -> Iterator[StripLine]:
    """The lines of a section, each of at most `room` cells unless one token is longer."""
    line: list[StripToken] = []
    cells = 0
    for token in section.tokens:
        width = _cells(token, vocabulary)
        if line and (cells + width > room - _MARK_CELLS or _kind(token) != _kind(line[0])):
            yield _line(line, vocabulary, room)
            line, cells = [], 0
        line.append(token)
        cells += width
    if line:
        yield _line(line, vocabulary, room)
    if section.tail:
        start = section.span.stop
        text = _missing(section.tail, vocabulary)
        found = measures((), tail=len(section.tail))
        yield StripLine(start=start, in_loss=False, unseen=False, text=text, measures=found)


_MARK_CELLS = 4


def folded(lines: Sequence[StripLine]) -> Iterator[StripLine | int]:
    """The lines, or for those that are left out how many tokens they have."""
    kept = set(range(len(lines)))
    if len(lines) > FOLD:
        kept = {*range(HEAD), *range(len(lines) - TAIL, len(lines))}
        kept |= set([at for at, line in enumerate(lines) if line.marked][:MARKED])
    left_out = 0
    for at, line in enumerate(lines):
        if at not in kept:
            left_out += line.measures.tokens
            continue
        if left_out:
            yield left_out
            left_out = 0
        yield line


def _kind(token: StripToken) -> tuple[bool, bool]:
    return token.in_loss, token.attended is False


def _cells(token: StripToken, vocabulary: Vocabulary) -> int:
    width = cell_len(vocabulary.text(token.id))
    width += 2 if token.far else 0
    width += 4 if token.other else 0
    return width + (cell_len(_missing(token.missing, vocabulary).plain) if token.missing else 0)


def _line(tokens: Sequence[StripToken], vocabulary: Vocabulary, room: int) -> StripLine:
    text = Text(no_wrap=True, overflow="ignore")
    for at, token in enumerate(tokens):
        before = tokens[at - 1] if at and not token.missing else None
        after = tokens[at + 1] if at + 1 < len(tokens) and not tokens[at + 1].missing else None
        if token.missing:
            text.append_text(_missing(token.missing, vocabulary))
        _append(text, token, before, after, _clipped(vocabulary.text(token.id), room))
    in_loss, unseen = _kind(tokens[0])
    return StripLine(
        start=tokens[0].place,
        in_loss=in_loss,
        unseen=unseen,
        text=text,
        measures=measures(tokens),
    )


def _append(
    text: Text, token: StripToken, before: StripToken | None, after: StripToken | None, shown: str
) -> None:
    """One token with its marks; neighbours of the same mark share it."""
    style = _style(token)
    if token.other:
        text.append("" if before is not None and before.other else "{+", _OTHER)
    if token.far:
        text.append("" if before is not None and before.far else "⟦", _FAR)
    text.append(shown, style)
    if token.far:
        text.append("" if after is not None and after.far else "⟧", _FAR)
    if token.other:
        text.append("" if after is not None and after.other else "+}", _OTHER)


def _style(token: StripToken) -> str:
    if token.far:
        return _FAR
    if token.other:
        return _OTHER
    if token.attended is False:
        return _UNSEEN
    return _colour(token) if token.in_loss else "dim"


def _colour(token: StripToken) -> str:
    """How likely the trainer holds a trained token."""
    if token.trainer is None or math.isnan(token.trainer):
        return ""
    return next(style for bound, style in COLOURS if token.trainer >= bound)


def _missing(ids: Sequence[int], vocabulary: Vocabulary) -> Text:
    shown = "".join(vocabulary.text(id) for id in ids[:_MISSING_CELLS])
    if cell_len(shown) > _MISSING_CELLS:
        shown = f"{_clipped(shown, _MISSING_CELLS)} {len(ids):,} tokens"
    return Text(f"[-{shown}-]", _MISSING)


def _clipped(text: str, room: int) -> str:
    """The text, or as much of it as has room."""
    if cell_len(text) <= room:
        return text
    kept, cells = [], 1
    for character in text:
        cells += cell_len(character)
        if cells > room:
            break
        kept.append(character)
    return "".join(kept) + "…"
