"""The training sequences of a trajectory token by token, for `rlvr show --tokens`."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rlvr.analysis.alignment import aligned
from rlvr.record import Span, TrainingSequence, Trajectory, TrajectoryUpdate

FAR = 1.0
"""Nats from which on sampler and trainer are said to disagree on a token."""

WORST = 8
"""So many of the largest disagreements are named."""

UNKNOWN_SPAN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StripToken:
    """One trained token. Logprobs in nats, None if not recorded, NaN where there is none.

    `other` says that another id was served or sampled here; `missing` has the ids that should stand
    before it and were not trained.
    """

    place: int
    id: int
    in_loss: bool
    attended: bool | None
    sampler: float | None
    trainer: float | None
    other: bool = False
    missing: tuple[int, ...] = ()

    @property
    def gap(self) -> float | None:
        """|trainer - sampler|, None where one of them has no logprob of it."""
        if self.sampler is None or self.trainer is None:
            return None
        gap = abs(self.trainer - self.sampler)
        return None if math.isnan(gap) else gap

    @property
    def far(self) -> bool:
        """Whether it was trained and the two disagree on it."""
        return self.in_loss and self.gap is not None and self.gap > FAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Numbers over some tokens. `trainer` and `sampler` are mean logprobs of those in the loss that
    have both, `gap` their mean distance; all None where there is none.
    """

    tokens: int
    in_loss: int
    unseen: int
    far: int
    other: int
    missing: int
    trainer: float | None
    sampler: float | None
    gap: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one turn and role wrote of one sequence. `tail` should have followed its last token."""

    span: Span
    tokens: tuple[StripToken, ...]
    tail: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceStrip:
    """One training sequence. `matched`: equal tokens stand beside each other."""

    sections: tuple[Section, ...]
    matched: bool = True

    @property
    def tokens(self) -> Iterator[StripToken]:
        """All of them, in order."""
        return (token for section in self.sections for token in section.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A token on which sampler and trainer are far apart."""

    sequence: int
    token: StripToken
    gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateLine:
    """One update: the share it clipped, and from the tokens the ratio new / old.

    `ratio_mean` and the `farthest` |log ratio| are over the tokens in the loss, None without token
    details.
    """

    update: int
    rank: int
    clipped_share: float | None
    kl_mean: float | None
    ratio_mean: float | None = None
    farthest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeStrip:
    """All training sequences. `wanted` should have been trained, None if not known to be others."""

    sequences: tuple[SequenceStrip, ...]
    wanted: int | None
    measures: Measures
    worst: tuple[Disagreement, ...]
    updates: tuple[UpdateLine, ...]


def whole_strip(
    trajectory: Trajectory, updates: Sequence[TrajectoryUpdate] = ()
) -> WholeStrip | None:
    """Every training sequence of a trajectory; None where it has no token details."""
    details = trajectory.tokens
    if details is None:
        return None
    wanted = details.expected_ids
    strips = tuple(
        _sequence(sequence, _expected(wanted, at)) for at, sequence in enumerate(details.sequences)
    )
    every = [token for strip in strips for token in strip.tokens]
    tails = sum(len(section.tail) for strip in strips for section in strip.sections)
    unbegun = sum(map(len, (wanted or ())[len(details.sequences) :]))
    return WholeStrip(
        sequences=strips,
        wanted=None if wanted is None else len(wanted),
        measures=measures(every, tail=tails + unbegun),
        worst=_worst(strips),
        updates=tuple(_line(update, details.sequences) for update in updates),
    )


def measures(tokens: Sequence[StripToken], *, tail: int = 0) -> Measures:
    """The numbers of these tokens; `tail` more should have followed them."""
    both = [
        (token.trainer, token.sampler, token.gap)
        for token in tokens
        if token.in_loss and token.gap is not None
    ]
    return Measures(
        tokens=len(tokens),
        in_loss=sum(token.in_loss for token in tokens),
        unseen=sum(token.attended is False for token in tokens),
        far=sum(token.far for token in tokens),
        other=sum(token.other for token in tokens),
        missing=tail + sum(len(token.missing) for token in tokens),
        trainer=_mean([trainer for trainer, _, _ in both]),
        sampler=_mean([sampler for _, sampler, _ in both]),
        gap=_mean([gap for _, _, gap in both]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _expected(wanted: Sequence[Sequence[int]] | None, at: int) -> Sequence[int] | None:
    if wanted is None:
        return None
    return wanted[at] if at < len(wanted) else ()


def _sequence(sequence: TrainingSequence, wanted: Sequence[int] | None) -> SequenceStrip:
    others, missing, matched = trained_otherwise(sequence.ids, wanted)
    tokens = [
        StripToken(
            place=at,
            id=id,
            in_loss=bool(sequence.loss_mask[at]),
            attended=None if sequence.attended is None else bool(sequence.attended[at]),
            sampler=None if sequence.sampler_logprobs is None else sequence.sampler_logprobs[at],
            trainer=None if sequence.trainer_logprobs is None else sequence.trainer_logprobs[at],
            other=at in others,
            missing=tuple(missing.get(at, ())),
        )
        for at, id in enumerate(sequence.ids)
    ]
    tail = tuple(missing.get(len(tokens), ()))
    return SequenceStrip(sections=tuple(_sections(sequence.spans, tokens, tail)), matched=matched)


def _sections(
    spans: Sequence[Span], tokens: Sequence[StripToken], tail: tuple[int, ...]
) -> Iterator[Section]:
    """A section for each span, and one for tokens that no span has."""
    known = list(spans)
    last = known[-1].stop if known else 0
    if last < len(tokens) or not known:
        known.append(Span(start=last, stop=len(tokens), turn=-1, role=UNKNOWN_SPAN))
    for span in known:
        own = tuple(tokens[span.start : span.stop])
        yield Section(span=span, tokens=own, tail=tail if span is known[-1] else ())


def trained_otherwise(
    ids: Sequence[int], wanted: Sequence[int] | None
) -> tuple[set[int], dict[int, list[int]], bool]:
    """Places with another id than wanted, and the ids missing before each place."""
    others: set[int] = set()
    missing: dict[int, list[int]] = {}
    if wanted is None:
        return others, missing, True
    pairs, matched = aligned(ids, wanted)
    left_out: list[int] = []
    for place, other in pairs:
        if other is not None and (place is None or ids[place] != wanted[other]):
            left_out.append(wanted[other])
        if place is None:
            continue
        if other is None or ids[place] != wanted[other]:
            others.add(place)
        if left_out:
            missing[place], left_out = left_out, []
    if left_out:
        missing[len(ids)] = left_out
    return others, missing, matched


def _worst(strips: Sequence[SequenceStrip]) -> tuple[Disagreement, ...]:
    found = (
        Disagreement(sequence=at, token=token, gap=token.gap)
        for at, strip in enumerate(strips)
        for token in strip.tokens
        if token.far and token.gap is not None
    )
    return tuple(heapq.nlargest(WORST, found, key=lambda one: one.gap))


def _line(update: TrajectoryUpdate, sequences: Sequence[TrainingSequence]) -> UpdateLine:
    logs = [
        new - old
        for sequence, trained in zip(sequences, update.trainer_logprobs or (), strict=False)
        if trained is not None and sequence.trainer_logprobs is not None
        for new, old in zip(trained, sequence.trainer_logprobs, strict=True)
        if not math.isnan(new - old)
    ]
    return UpdateLine(
        update=update.update,
        rank=update.rank,
        clipped_share=update.clipped_share,
        kl_mean=update.kl_mean,
        ratio_mean=_mean([math.exp(min(log, 700.0)) for log in logs]),
        farthest=max(map(abs, logs), default=None),
    )
