"""Do the recorded advantages follow from the rewards of their groups?

GRPO's advantage is the reward minus the mean of its group, divided by the group's standard
deviation or not (GRPO: arXiv 2402.03300; without the division: Dr. GRPO, arXiv 2503.20783).
Trainers differ in what they divide by, but all of these are a positive multiple of the centred
reward.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rlvr.analysis.advantage import EPSILON
from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import UNAFFECTED

_CLOSE = 1e-3  # trainers compute in float32, and other orders of summation are allowed
_ROUNDING = 4 * 6e-8  # float32, of the reward itself
_FITS = 0.5
_TELLING_GROUPS = 8  # shuffled advantages of pairs are proportional in one group of four by chance

FLAT_ADVANTAGE = 2 * FLAT_SPREAD / EPSILON
"""The largest advantage that a group of equal rewards can give."""


class Normalisation(StrEnum):
    """How a run makes advantages of rewards, as far as its record shows."""

    SCALED = "reward minus group mean, divided by the group's standard deviation"
    PLAIN = "reward minus group mean"
    OTHER = "reward minus group mean, by another scale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class AdvantageCheck:
    """`judged` rollouts belong to a whole group of finite rewards; `wrong` ones have an advantage
    that is not finite, or, among the judged, not the one of their reward. `expected` is NaN where
    the normalisation gives none. Shape (rollouts,) each."""

    normalisation: Normalisation
    judged: Mask
    wrong: Mask
    expected: Floats


@dataclass(frozen=True, kw_only=True)
class _Centred:
    """By rollout: reward minus group mean, the group's standard deviation (n - 1), whether the
    group is flat, and how much rounding may move an advantage per unit of 1 / std."""

    reward: Floats
    std: Floats
    flat: Mask
    rounding: Floats
    recorded: Floats


def check_advantages(
    rollouts: Rollouts, *, scale_rewards: bool | None, group_size: int | None
) -> AdvantageCheck:
    """`scale_rewards` and `group_size` as the run declares them, None where it does not."""
    known, recorded = rollouts.known("advantage"), rollouts.numbers("advantage")
    not_finite = known & ~np.isfinite(recorded)
    with np.errstate(over="ignore", invalid="ignore"):  # rewards may be of any size
        centred = _centred(rollouts)
        judged = _whole(rollouts, group_size) & np.isfinite(recorded) & np.isfinite(centred.std)
        fitted = _fitted(centred, rollouts, judged, scale_rewards)
    normalisation, off, expected = fitted
    return AdvantageCheck(
        normalisation=normalisation,
        judged=judged & (normalisation is not Normalisation.UNKNOWN),
        wrong=np.asarray(not_finite | (judged & off)),
        expected=np.where(judged, expected, np.nan),
    )


def _fitted(
    centred: _Centred, rollouts: Rollouts, judged: Mask, scale_rewards: bool | None
) -> tuple[Normalisation, Mask, Floats]:
    """The normalisation that explains the recorded advantages, where it does not, and what it
    expects."""
    telling = judged & ~centred.flat
    declared = {
        Normalisation.SCALED: _off_scaled(centred),
        Normalisation.PLAIN: _off_by(centred, centred.reward),
    }
    if scale_rewards is not None:
        dropped = Normalisation.PLAIN if scale_rewards else Normalisation.SCALED
        del declared[dropped]
    best = min(declared, key=lambda name: int((telling & declared[name]).sum()))
    expected = {
        Normalisation.SCALED: centred.reward / (centred.std + EPSILON),
        Normalisation.PLAIN: centred.reward,
    }[best]
    if (telling & declared[best]).sum() <= _FITS * telling.sum():
        return best, declared[best], expected
    nothing = np.full(len(rollouts), np.nan)
    off = _off_proportional(centred, rollouts, telling)
    groups = len(np.unique(rollouts.group[telling]))
    if (telling & off).sum() <= UNAFFECTED * telling.sum():
        if groups >= _TELLING_GROUPS:
            return Normalisation.OTHER, off, nothing
    elif scale_rewards is not None:
        return best, declared[best], expected
    return Normalisation.UNKNOWN, np.zeros(len(rollouts), np.bool_), nothing


def _centred(rollouts: Rollouts) -> _Centred:
    groups, group = rollouts.groups, rollouts.group
    if not len(groups):
        none = np.empty(0)
        flat = np.zeros(0, np.bool_)
        return _Centred(reward=none, std=none, flat=flat, rounding=none, recorded=none)
    reward = rollouts.numbers("reward")
    centred = reward - groups.mean[group]
    squares = np.bincount(group, weights=centred**2, minlength=len(groups))
    alone = (groups.size == 1) & np.isfinite(groups.spread)
    return _Centred(
        reward=centred,
        std=np.sqrt(squares / np.maximum(groups.size - 1, 1))[group],
        flat=np.asarray((groups.flat | alone)[group]),
        rounding=_ROUNDING * np.abs(reward),
        recorded=rollouts.numbers("advantage"),
    )


def _whole(rollouts: Rollouts, group_size: int | None) -> Mask:
    """In a group of which no rollout is missing from the record."""
    groups = rollouts.groups
    if not len(groups):
        return np.zeros(0, np.bool_)
    if group_size is None:  # the largest groups are whole, if groups were made at all
        whole = (groups.size == groups.size.max()) & (groups.size > 1)
    else:
        whole = groups.size == group_size
    return np.asarray((whole & np.isfinite(groups.spread))[rollouts.group])


def _off_scaled(centred: _Centred) -> Mask:
    """Outside of what the division by std plus an epsilon between 0 and 1e-4 can give."""
    std = np.where(centred.flat, 1.0, centred.std)
    one, other = centred.reward / (std + EPSILON), centred.reward / std
    slack = _CLOSE * (1 + np.abs(one)) + centred.rounding / std
    low, high = np.minimum(one, other) - slack, np.maximum(one, other) + slack
    return _unless_flat(centred, (centred.recorded < low) | (centred.recorded > high))


def _off_by(centred: _Centred, expected: Floats) -> Mask:
    slack = _CLOSE * (1 + np.abs(expected)) + centred.rounding
    return _unless_flat(centred, np.abs(centred.recorded - expected) > slack)


def _off_proportional(centred: _Centred, rollouts: Rollouts, telling: Mask) -> Mask:
    """Not the centred reward times one positive number of its group."""
    group, count = rollouts.group, len(rollouts.groups)
    product = np.where(telling, centred.reward * centred.recorded, 0.0)
    square = np.where(telling, centred.reward**2, 0.0)
    above = np.bincount(group, weights=product, minlength=count)
    below = np.bincount(group, weights=square, minlength=count)
    factor = np.divide(above, below, out=np.zeros(count), where=below > 0)[group]
    expected = factor * centred.reward
    slack = _CLOSE * (1 + np.abs(expected)) + centred.rounding * np.abs(factor)
    off = (np.abs(centred.recorded - expected) > slack) | (factor <= 0)
    return _unless_flat(centred, off)


def _unless_flat(centred: _Centred, off: Mask) -> Mask:
    moved = np.abs(centred.recorded) > FLAT_ADVANTAGE
    return np.asarray(np.where(centred.flat, moved, off), dtype=np.bool_)
