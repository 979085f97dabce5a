"""One training sequence as columns: what became of each token, and where to look."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.strips import FAR, UNKNOWN_SPAN, trained_otherwise
from rlvr.record import Span, TrainingSequence


class State(StrEnum):
    """What became of a token; its value is the letter that stands for it.

    Trained tokens have a loss, whoever wrote them. Masked ones the model sampled and the loss left
    out. Of the others it is known who wrote them, or nothing is.
    """

    TRAINED = "T"
    MASKED = "M"
    ENVIRONMENT = "E"
    PROMPT = "P"
    UNKNOWN = "∅"


STATES = tuple(State)
"""The states by the codes that `TokenTable.states` has."""

_OF_ROLE = {
    "assistant": State.MASKED,
    "environment": State.ENVIRONMENT,
    "prompt": State.PROMPT,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenTable:
    """A training sequence, its columns one entry a token.

    `states` are places in STATES. Logprobs and entropies are in nats, NaN where there is none; a
    column is None where it was not recorded. `other` marks ids that were never served or sampled
    here, `missing` has by place the ids that should stand before it and were not trained (at the
    length of the sequence: after its last token). `matched` is false where too much differs for
    those two to be more than a guess. `spans` cover every token.
    """

    ids: Ints
    states: npt.NDArray[np.uint8]
    in_loss: Mask
    attended: Mask | None
    sampler: Floats | None
    trainer: Floats | None
    reference: Floats | None
    entropy: Floats | None
    other: Mask
    missing: Mapping[int, tuple[int, ...]]
    matched: bool
    spans: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def unseen(self) -> Mask:
        """Where attention could not see; nowhere, if that was not recorded."""
        return np.zeros(len(self), bool) if self.attended is None else ~self.attended

    @property
    def gap(self) -> Floats:
        """|trainer - sampler|, NaN where one of them has no logprob."""
        if self.trainer is None or self.sampler is None:
            return np.full(len(self), math.nan)
        return np.abs(self.trainer - self.sampler)

    @property
    def far(self) -> Mask:
        """Where a token was trained on which sampler and trainer disagree."""
        return self.in_loss & (self.gap > FAR)

    @property
    def divergences(self) -> Ints:
        """The first place of every stretch that departs from what was sampled: by its id, by a
        missing one, by its logprob, or unseen by attention."""
        marked = self.far | self.other | self.unseen
        begins = marked & ~np.concatenate([np.zeros(1, bool), marked[:-1]])
        begins[[place for place in self.missing if place < len(self)]] = True
        places = np.flatnonzero(begins)
        return np.append(places, len(self)) if len(self) in self.missing else places

    def counted(self) -> dict[State, int]:
        """How many tokens are in each state."""
        counts = np.bincount(self.states, minlength=len(STATES))
        return {state: int(count) for state, count in zip(STATES, counts, strict=True)}


def token_table(sequence: TrainingSequence, wanted: Sequence[int] | None = None) -> TokenTable:
    """The columns of a sequence; `wanted` is what was served and sampled, where that is known to
    be something else."""
    ids = np.asarray(sequence.ids, np.int64)
    others, missing, matched = trained_otherwise(sequence.ids, wanted)
    other = np.zeros(len(ids), bool)
    other[list(others)] = True
    in_loss = np.asarray(sequence.loss_mask, np.int64) != 0
    spans = tuple(_covering(sequence.spans, len(ids)))
    return TokenTable(
        ids=ids,
        states=_states(spans, in_loss),
        in_loss=in_loss,
        attended=None if sequence.attended is None else np.asarray(sequence.attended) != 0,
        sampler=_floats(sequence.sampler_logprobs),
        trainer=_floats(sequence.trainer_logprobs),
        reference=_floats(sequence.reference_logprobs),
        entropy=_floats(sequence.entropy),
        other=other,
        missing={place: tuple(gone) for place, gone in missing.items()},
        matched=matched,
        spans=spans,
    )


def _covering(spans: Sequence[Span], length: int) -> list[Span]:
    """The spans, with one of no known role wherever they leave tokens out."""
    ordered = sorted((span for span in spans if span.stop > span.start), key=lambda s: s.start)
    ends = [0, *(span.stop for span in ordered)]
    starts = [*(span.start for span in ordered), length]
    gaps = [
        Span(start=stop, stop=start, turn=-1, role=UNKNOWN_SPAN)
        for stop, start in zip(ends, starts, strict=True)
        if start > stop
    ]
    return sorted([*ordered, *gaps], key=lambda span: span.start)


def _states(spans: Sequence[Span], in_loss: Mask) -> npt.NDArray[np.uint8]:
    states = np.full(len(in_loss), STATES.index(State.UNKNOWN), np.uint8)
    for span in spans:
        state = _OF_ROLE.get(span.role, State.UNKNOWN)
        states[span.start : span.stop] = STATES.index(state)
    states[in_loss] = STATES.index(State.TRAINED)
    return states


def _floats(values: Sequence[float] | None) -> Floats | None:
    return None if values is None else np.asarray(values, np.float64)


def stretches(codes: npt.NDArray[np.generic]) -> list[tuple[int, int]]:
    """(start, stop) of each run of equal codes, in order."""
    if not len(codes):
        return []
    turns = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    return list(pairwise([0, *turns.tolist(), len(codes)]))
