"""How the gap between trainer and sampler depends on the place of a token in its first turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats
from rlvr.record import TrainingSequence, Trajectory

_PARTS = 4
_LONG_TURN = 32  # tokens, so that each part has eight
_ENOUGH = 8  # turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """|trainer - sampler| logprob in the quarters of long first turns, in nats.

    `series` has the mean of each quarter at the place in the sequence where it stands on average;
    `turns` counts the first turns it is taken from. A first turn has no history that could be read
    otherwise, so what changes within it goes with the position alone.
    """

    series: tuple[tuple[int, float], ...]
    turns: int

    @property
    def enough(self) -> bool:
        """Whether there are turns enough to compare its ends."""
        return self.turns >= _ENOUGH

    @property
    def start(self) -> float:
        """Mean of the first quarter."""
        return self.series[0][1]

    @property
    def end(self) -> float:
        """Mean of the last quarter."""
        return self.series[-1][1]


def positions(details: Sequence[Trajectory]) -> Positions | None:
    """The gap by place, of the rollouts with token details; None without a long first turn."""
    quarters = [found for one in details for found in _first_turns(one)]
    if not quarters:
        return None
    places, gaps = (np.mean([found[at] for found in quarters], axis=0) for at in (0, 1))
    return Positions(
        series=tuple((int(place), float(gap)) for place, gap in zip(places, gaps, strict=True)),
        turns=len(quarters),
    )


def gaps_of(sequence: TrainingSequence) -> Floats | None:
    """|trainer - sampler| logprob of each token with a loss, NaN for others; None without logprobs,
    or where lists have another length than the ids."""
    if sequence.sampler_logprobs is None or sequence.trainer_logprobs is None:
        return None
    trained = np.asarray(sequence.loss_mask) > 0
    sampler = np.asarray(sequence.sampler_logprobs, dtype=np.float64)
    trainer = np.asarray(sequence.trainer_logprobs, dtype=np.float64)
    if not len(trained) == len(sampler) == len(trainer) == len(sequence.ids):
        return None
    return np.where(trained, np.abs(trainer - sampler), np.nan)


def _first_turns(trajectory: Trajectory) -> Iterator[tuple[Floats, Floats]]:
    """(mean place, mean gap) of the quarters of its first turn, if it is long."""
    for sequence in trajectory.tokens.sequences if trajectory.tokens else ():
        gaps = gaps_of(sequence)
        first = next((s for s in sequence.spans if s.role == "assistant" and s.turn == 0), None)
        if gaps is None or first is None:
            continue
        places = first.start + np.flatnonzero(np.isfinite(gaps[first.start : first.stop]))
        if len(places) >= _LONG_TURN:
            parts = np.array_split(places, _PARTS)
            yield (
                np.array([part.mean() for part in parts]),
                np.array([gaps[part].mean() for part in parts]),
            )
