"""Which component of a reward the sign of each advantage follows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Columns, Floats, Ints, Mask
from rlvr.analysis.within import FLAT_SPREAD, deciders, deviations


@dataclass(frozen=True, kw_only=True)
class Signs:
    """The sign of each rollout's advantage, 0 where it has none, and which component decides it
    (a place in `names`, -1 where none does). `pulls` are weighted deviations."""

    sign: Floats
    recorded: bool
    names: tuple[str, ...]
    pulls: Mapping[str, Floats]
    decider: Ints

    @property
    def moved(self) -> Mask:
        """Rollouts whose advantage is not 0. Shape (rollouts,)."""
        return np.asarray(self.sign != 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A component's part in the advantages. Shape (rollouts,) each.

    It `decides` those whose sign its deviation pulls most, `follows` where it `deviates` to the
    side of the sign; of those that the components' sum `explained`, without it the sum of the
    others `flips` to the other sign, or `vanishes`.
    """

    decides: Mask
    deviates: Mask
    follows: Mask
    explained: Mask
    flips: Mask
    vanishes: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideOutcome:
    """Rollouts that are so, of those that could be: (hits, trials), shape (rollouts,) each; as
    `OutcomeUse` says."""

    agrees: tuple[Mask, Mask]
    elsewhere: tuple[Mask, Mask]


def signs_of(columns: Columns, group: Ints, weights: Mapping[str, float]) -> Signs:
    """The signs of the advantages of a table with REWARD_COLUMNS; `weights` are known ones."""
    reward, advantage = columns.numbers("reward"), columns.numbers("advantage")
    centred = deviations(reward, group)
    complete = np.bincount(group[~np.isfinite(reward)], minlength=_count(group)) == 0
    near = np.abs(centred) <= FLAT_SPREAD * np.maximum(1.0, np.abs(np.nan_to_num(reward)))
    level = np.bincount(group, weights=~near, minlength=_count(group)) == 0
    recorded = bool(columns.known("advantage").any())
    sign = np.sign(np.nan_to_num(advantage)) if recorded else np.sign(centred)
    sign = np.where((complete & ~level)[group], sign, 0.0)
    if not recorded:
        sign = np.where(near, 0.0, sign)
    pulls = {n: w * deviations(columns.component(n), group) for n, w in weights.items()}
    decider = deciders(sign, tuple(pulls.values()))
    return Signs(sign=sign, recorded=recorded, names=tuple(pulls), pulls=pulls, decider=decider)


def part_of(signs: Signs, name: str) -> Part:
    """The part of one of the components in `signs`."""
    moved, pull = signs.moved, signs.pulls[name]
    total = np.sum(list(signs.pulls.values()), axis=0)
    explained = moved & (signs.sign * total > FLAT_SPREAD)
    without = signs.sign * (total - pull)
    deviates = moved & (np.abs(pull) > FLAT_SPREAD)
    return Part(
        decides=np.asarray(moved & (signs.decider == signs.names.index(name))),
        deviates=deviates,
        follows=np.asarray(deviates & (signs.sign * pull > 0)),
        explained=explained,
        flips=np.asarray(explained & (without < -FLAT_SPREAD)),
        vanishes=np.asarray(explained & (np.abs(without) <= FLAT_SPREAD)),
    )


def weighted_deviations(
    columns: Columns, group: Ints, weights: Mapping[str, float]
) -> dict[str, Floats]:
    """The deviations of each component that counts from its group's mean, times its weight."""
    return {
        name: weights.get(name, 1.0) * deviations(columns.component(name), group)
        for name in columns.component_names
        if weights.get(name, 1.0)
    }


def opposed(first: Floats, second: Floats) -> tuple[Mask, Mask]:
    """Rollouts in which the two deviate to opposite sides, of those in which both deviate."""
    both = np.asarray((np.abs(first) > FLAT_SPREAD) & (np.abs(second) > FLAT_SPREAD))
    return np.asarray(both & (first * second < 0)), both


def beside_outcome(deviation: Floats, group: Ints, signs: Signs) -> BesideOutcome:
    """The advantages beside the outcome's deviations from its groups' means."""
    moved = signs.moved
    deviates = np.abs(deviation) > FLAT_SPREAD
    varies = np.bincount(group, weights=deviates, minlength=_count(group)) > 0
    tried = np.asarray(moved & deviates)
    return BesideOutcome(
        agrees=(np.asarray(tried & (signs.sign * deviation > 0)), tried),
        elsewhere=(np.asarray(moved & ~varies[group]), moved),
    )


def _count(group: Ints) -> int:
    return int(group.max()) + 1 if len(group) else 0
