"""Tokens for a page: blocks of parts of runs of tokens, each run of one state."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlvr.analysis.channels import Channel, Pushed, channel_values, clipped
from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.strips import UNKNOWN_SPAN
from rlvr.analysis.token_table import STATES, State, TokenTable, stretches
from rlvr.record import Span
from rlvr.utils.places import Places, token_anchor, turn_anchor
from rlvr.views.terminal.text import NOT_RECORDED, plural
from rlvr.views.web.scales import SCALES, step_class

BLOCK = 512
"""Tokens of a block, which a browser lays out when it comes into view."""

MOST_MISSING = 40
"""Tokens that are shown of a stretch which was never trained; the rest is counted."""

WRITERS = {"prompt": "prompt", "assistant": "model", "environment": "tools and template"}
STATE_WORDS = {
    State.TRAINED: "trained",
    State.MASKED: "sampled, not trained",
    State.ENVIRONMENT: "tool or environment",
    State.PROMPT: "prompt",
    State.UNKNOWN: "of no known role",
}
STATE_KINDS = {
    State.TRAINED: "trained",
    State.MASKED: "masked",
    State.ENVIRONMENT: "environment",
    State.PROMPT: "prompted",
    State.UNKNOWN: "unrecorded",
}
_VISIBLE = str.maketrans({"\n": "⏎\n", "\t": "⇥\t", "\r": "␍"})


class ShownToken(NamedTuple):
    """One token: its anchor, its classes, all that is known of it, its text, what is missing before
    it, and whether it begins a divergence."""

    anchor: str
    kind: str
    title: str
    text: str
    gone: "Gone | None"
    stop: bool


class Gone(NamedTuple):
    """Tokens that were served or sampled and not trained."""

    text: str
    title: str


class TokenRun(NamedTuple):
    """Tokens of one state: its letter, its class, whether one channel knows them."""

    letter: str
    kind: str
    tokens: list[ShownToken]


class TokenPart(NamedTuple):
    """Tokens that one turn and role wrote, within a block. `who` stands where they begin."""

    who: str
    note: str
    url: str
    kind: str
    runs: list[TokenRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Texts of token ids. `whitespace`: spaces are shown as marks."""

    texts: Sequence[str]
    whitespace: bool = False

    def text(self, id: int) -> str:
        """The text of an id with its line ends marked; the id itself where it has no text, or is a
        part of a character whose bytes are not known."""
        known = self.texts[id] if 0 <= id < len(self.texts) else ""
        if not known or "\ufffd" in known:
            return f"‹{id}›"
        shown = known.translate(_VISIBLE)
        return shown.replace(" ", "␣") if self.whitespace else shown

    def gone(self, ids: Sequence[int]) -> Gone | None:
        """Tokens that were not trained; None without any."""
        if not ids:
            return None
        text = "".join(map(self.text, ids[:MOST_MISSING]))
        more = f" … {plural(len(ids), 'token')}" if len(ids) > MOST_MISSING else ""
        shown = ", ".join(map(str, ids[:MOST_MISSING]))
        title = f"{plural(len(ids), 'token')} served or sampled, not trained: ids {shown}"
        return Gone(text=text + more, title=title + (" …" if more else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPaper:
    """What is drawn of a training sequence: in which channel, with which marks.

    `marked` are the places (start, stop) that a URL points at.
    """

    sequence: int
    id: str
    table: TokenTable
    channel: Channel
    push: Pushed
    vocabulary: Vocabulary
    places: Places
    marked: tuple[int, int] = (0, 0)
    _texts: dict[int, str] = field(default_factory=dict)

    def blocks(self, start: int, stop: int) -> Iterator[list[TokenPart]]:
        """The tokens from `start` to `stop`, block by block."""
        lines = _Lines(self, start, stop)
        for first in range(start, stop, BLOCK):
            yield list(lines.parts(first, min(first + BLOCK, stop)))

    def tail(self) -> Gone | None:
        """What should have followed the last token."""
        return self.gone(len(self.table))

    def text(self, id: int) -> str:
        """The text of an id."""
        if id not in self._texts:
            self._texts[id] = self.vocabulary.text(id)
        return self._texts[id]

    def gone(self, place: int) -> Gone | None:
        """What is missing before a place."""
        return self.vocabulary.gone(self.table.missing.get(place, ()))


class _Lines:
    """The tokens of a window, their columns cut to it once."""

    def __init__(self, paper: TokenPaper, start: int, stop: int) -> None:
        table, own = paper.table, slice(start, stop)
        self._paper = paper
        self._start = start
        self._ids: list[int] = table.ids[own].tolist()
        values = channel_values(paper.channel, table, paper.push)
        window = None if values is None else values[own]
        self._codes = _codes(table, window, own)
        self._kinds = self._classes(window, own)
        self._titles = list(_titles(paper, own, self._ids))
        self._stops = set(table.divergences.tolist())

    def parts(self, start: int, stop: int) -> Iterator[TokenPart]:
        """The parts of one block: where it begins, and where another turn or role does."""
        paper = self._paper
        for span in paper.table.spans:
            first, last = max(span.start, start), min(span.stop, stop)
            if first >= last:
                continue
            begins = first == span.start
            who, note = _heading(paper.table, span) if begins else ("", "")
            url = ""
            if begins and span.turn >= 0:
                asked = {"turn": span.turn}
                url = paper.places.of_trajectory(paper.id, turn_anchor(span.turn), **asked)
            yield TokenPart(who, note, url, _part_kind(span), list(self._runs(first, last)))

    def _runs(self, start: int, stop: int) -> Iterator[TokenRun]:
        cut = self._codes[start - self._start : stop - self._start]
        for first, last in stretches(cut):
            code = int(cut[first])
            state = STATES[code % len(STATES)]
            unknown = code >= len(STATES)
            letter = State.UNKNOWN.value if unknown else state.value
            kind = "unrecorded" if unknown else STATE_KINDS[state]
            tokens = [self._token(at) for at in range(start + first, start + last)]
            yield TokenRun(letter, kind, tokens)

    def _token(self, place: int) -> ShownToken:
        paper, at = self._paper, place - self._start
        return ShownToken(
            token_anchor(paper.sequence, place),
            self._kinds[at],
            self._titles[at],
            paper.text(self._ids[at]),
            paper.gone(place),
            place in self._stops,
        )

    def _classes(self, window: Floats | None, own: slice) -> list[str]:
        """The classes of each token: its colour, and its marks."""
        paper, table = self._paper, self._paper.table
        kinds = _colours(paper.channel, window, table.in_loss[own])
        clip = clipped(table, paper.push) if paper.channel is Channel.RATIO else None
        marks: list[tuple[str, Mask]] = [
            ("far", table.far[own]),
            ("other", table.other[own]),
            ("unseen", table.unseen[own]),
        ]
        if clip is not None:
            marks.append(("clip", clip[own]))
        if window is not None and paper.channel in SCALES:
            beyond = SCALES[paper.channel].beyond(window) & table.in_loss[own]
            marks.append(("beyond", beyond))
        first, last = paper.marked
        places = np.arange(own.start, own.stop)
        marks.append(("at", (places >= first) & (places < last)))
        for name, where in marks:
            for at in np.flatnonzero(where).tolist():
                kinds[at] = f"{kinds[at]} {name}" if kinds[at] else name
        return kinds


def _codes(table: TokenTable, window: Floats | None, own: slice) -> npt.NDArray[np.uint8]:
    """The state of each token; beyond the states where it is trained and its number unknown."""
    states = table.states[own].copy()
    unknown = np.ones(len(states), bool) if window is None else np.isnan(window)
    states[table.in_loss[own] & unknown] += len(STATES)
    return states


def _colours(channel: Channel, window: Floats | None, in_loss: Mask) -> list[str]:
    if channel is Channel.MASK:
        return ["b3" if trained else "" for trained in in_loss.tolist()]
    if window is None:
        return [""] * len(in_loss)
    scale = SCALES[channel]
    names = {step: step_class(step, signed=scale.signed) for step in range(-4, 5)}
    steps = scale.steps(window).tolist()
    shown = (in_loss & ~np.isnan(window)).tolist()
    return [names[step] if known else "" for step, known in zip(steps, shown, strict=True)]


def _titles(paper: TokenPaper, own: slice, ids: Sequence[int]) -> Iterator[str]:
    """Each token's place, id, state and numbers, in words."""
    columns = list(_numbers(paper, own))
    states = paper.table.states[own].tolist()
    words = [STATE_WORDS[state] for state in STATES]
    for at, (id, state) in enumerate(zip(ids, states, strict=True)):
        numbers = [
            f"{name} {_number(values[at])}"
            for name, values in columns
            if state == 0 or not math.isnan(values[at])
        ]
        yield " · ".join([f"token {own.start + at:,}", f"id {id}", words[state], *numbers])


def _numbers(paper: TokenPaper, own: slice) -> Iterator[tuple[str, list[float]]]:
    """Each channel that has a number for some token here."""
    for channel, name in SHORT_NAMES.items():
        values = channel_values(channel, paper.table, paper.push)
        if values is not None:
            yield name, values[own].tolist()


SHORT_NAMES: Mapping[Channel, str] = {
    Channel.SAMPLER: "sampler",
    Channel.TRAINER: "trainer",
    Channel.DIFFERENCE: "difference",
    Channel.RATIO: "log ratio",
    Channel.ENTROPY: "entropy",
    Channel.KL: "KL",
}
"""How a token's own line calls its numbers."""


def _number(value: float) -> str:
    return NOT_RECORDED if math.isnan(value) else f"{value:.3g}"


def _part_kind(span: Span) -> str:
    return f"by-{span.role}" if span.role in WRITERS else "by-unknown"


def _heading(table: TokenTable, span: Span) -> tuple[str, str]:
    """Who wrote the tokens of a span, and what became of them."""
    own = slice(span.start, span.stop)
    trained = int(table.in_loss[own].sum())
    length = span.stop - span.start
    role = "of no known role" if span.role == UNKNOWN_SPAN else WRITERS.get(span.role, span.role)
    who = f"{role} {span.turn}" if span.turn >= 0 else role
    some = "trained" if trained == length else f"{trained:,} trained"
    return who, f"{plural(length, 'token')}, {some if trained else 'no loss'}"
