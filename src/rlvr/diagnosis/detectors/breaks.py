"""Where a later request parts from the turns before it, read from token details."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from rlvr.diagnosis.detectors.departures import token_text
from rlvr.record import Span, Trajectory

_OPENING, _CLOSING = "<think>", "</think>"
_EMPTY = re.compile(r"<think>\s*</think>")
_NEAR = 400  # characters of text on each side of a break that are looked at
_TOOL_WORDS = ('"function"', '"parameters"', "<tools>", "</tools>", '"properties"')


class Rewriting(StrEnum):
    """What stands at a break: earlier thinking, dropped or left empty; the tools or another part of
    the prompt; the same text in other ids; an answer; a tool result; or nobody knows."""

    THINKING = "thinking"
    EMPTY_THINKING = "empty_thinking"
    TOOLS = "tools"
    PROMPT = "prompt"
    TOKENISED = "tokenised"
    ANSWER = "answer"
    ENVIRONMENT = "environment"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The first token of request `sequence` that is not the one that came before it.

    `was` and `became` are the tokens on both sides in quotes.
    """

    id: str
    sequence: int
    token: int
    kind: Rewriting
    was: str
    became: str


def breaks(details: Sequence[Trajectory], vocabulary: Sequence[str]) -> tuple[Break, ...]:
    """Each place at which a served sequence does not continue the one before it."""
    return tuple(
        found
        for trajectory in details
        if trajectory.tokens is not None and trajectory.id is not None
        for found in _of(trajectory, vocabulary)
    )


def _of(trajectory: Trajectory, vocabulary: Sequence[str]) -> Iterator[Break]:
    tokens = trajectory.tokens
    if tokens is None:
        return
    expected = tokens.expected_ids
    served = expected or tuple(sequence.ids for sequence in tokens.sequences)
    spans = () if expected else tuple(sequence.spans for sequence in tokens.sequences)
    for number, (before, after) in enumerate(pairwise(served)):
        place = _first_difference(before, after)
        if place >= len(before) or place >= len(after):
            continue  # cut, or continued after all
        of_before = spans[number] if spans else ()
        yield Break(
            id=trajectory.id or "",
            sequence=number + 1,
            token=place,
            kind=_kind(before, after, place, of_before, vocabulary),
            was=token_text(int(before[place]), vocabulary),
            became=token_text(int(after[place]), vocabulary),
        )


def _first_difference(before: Sequence[int], after: Sequence[int]) -> int:
    shorter = min(len(before), len(after))
    differ = np.flatnonzero(np.asarray(before[:shorter]) != np.asarray(after[:shorter]))
    return int(differ[0]) if differ.size else shorter


def _kind(
    before: Sequence[int],
    after: Sequence[int],
    place: int,
    spans: Sequence[Span],
    vocabulary: Sequence[str],
) -> Rewriting:
    span = next((span for span in spans if span.start <= place < span.stop), None)
    if vocabulary:
        common = _text(before[max(0, place - _NEAR) : place], vocabulary)
        stop = min(len(before), place + _NEAR) if span is None else min(span.stop, place + _NEAR)
        was = _text(before[place:stop], vocabulary)
        became = _text(after[place : place + 2 * _NEAR], vocabulary)
        role = None if span is None else span.role
        kind = _by_text(common, was, became, role)
        if kind is not None:
            return kind
    roles = {
        "prompt": Rewriting.PROMPT,
        "assistant": Rewriting.ANSWER,
        "environment": Rewriting.ENVIRONMENT,
    }
    return roles.get(span.role, Rewriting.OTHER) if span is not None else Rewriting.OTHER


def _by_text(common: str, was: str, became: str, role: str | None) -> Rewriting | None:
    """What the texts at the break show: before it, after it as it was, and as it became. `role` is
    that of the token that is no longer there, None where it is not known."""
    if was and became.startswith(was):
        return Rewriting.TOKENISED
    opened = common.rpartition(_OPENING)[2] if _OPENING in common else ""
    thinking = (_OPENING in common and _CLOSING not in opened) or was.lstrip().startswith(_OPENING)
    tail = _OPENING + opened if _OPENING in common and _CLOSING not in opened else ""
    if _EMPTY.match((tail + became).lstrip()):
        return Rewriting.EMPTY_THINKING
    if thinking:
        return Rewriting.THINKING
    around = common[-_NEAR:] + was[:_NEAR] + became[:_NEAR]
    defines = any(word in around for word in _TOOL_WORDS)
    return Rewriting.TOOLS if defines and role in (None, "prompt") else None


def _text(ids: Sequence[int], vocabulary: Sequence[str]) -> str:
    return "".join(vocabulary[id] if 0 <= id < len(vocabulary) else f"<{id}>" for id in ids)
