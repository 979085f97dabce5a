"""What differs between the rollouts of one group, whose prompt is the same.

Arrays have one entry a rollout unless said otherwise; `group` holds a whole number from 0 on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.statistics import Z_95, Share, Z, clustered

FLAT_SPREAD = 1e-6
"""Rewards of a group that differ by less are equal: they are computed in float32, and their
advantages stay below 0.01 beside GRPO's epsilon of 1e-4."""

_LARGEST = 1e140


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """The correlation of two values within groups, with the bounds of its interval.

    `remaining` is the variance of their sum, relative to what it would be without correlation.
    `groups` counts those in which both vary.
    """

    value: float
    low: float
    high: float
    remaining: float
    groups: int


def deviations(values: Floats, group: Ints) -> Floats:
    """Each value minus the mean of its group; 0 where there is no finite value.

    Values beyond +-1e140 count as that, so that their squares stay finite.
    """
    scored = np.isfinite(values)
    sound = np.clip(np.where(scored, values, 0.0), -_LARGEST, _LARGEST)
    counts = np.bincount(group, weights=scored)
    means = np.bincount(group, weights=sound) / np.maximum(counts, 1)
    return np.where(scored, sound - means[group], 0.0)


def spreads(values: Floats, group: Ints) -> Floats:
    """The standard deviation (n - 1) of each group's finite values; NaN with fewer than two.

    Shape (groups,).
    """
    counts = np.bincount(group, weights=np.isfinite(values))
    squares = np.bincount(group, weights=deviations(values, group) ** 2)
    spread = np.sqrt(squares / np.maximum(counts - 1, 1))
    return np.where(counts > 1, spread, np.nan)


def correlation(x: Floats, y: Floats, group: Ints, *, z: float = Z) -> Correlation | None:
    """The correlation of two deviations from their group's mean; None where never both vary.

    Its variance is that of the sum over groups of each group's influence (the delta method), on
    Fisher's z scale; R. A. Fisher, 1921.
    """
    xx, yy, xy = (np.bincount(group, weights=p) for p in (x * x, y * y, x * y))
    both = (xx > FLAT_SPREAD**2) & (yy > FLAT_SPREAD**2)
    sum_xx, sum_yy = float(xx.sum()), float(yy.sum())
    groups = int(both.sum())
    if not groups:
        return None
    scale = math.sqrt(sum_xx * sum_yy)
    value = float(xy.sum()) / scale
    influence = xy / scale - value / 2 * (xx / sum_xx + yy / sum_yy)
    margin = max(1 - value**2, 1e-6)
    error = max(math.sqrt(float((influence**2).sum())) / margin, 1 / math.sqrt(max(groups - 3, 1)))
    centre = math.atanh(max(min(value, 1 - 1e-6), -1 + 1e-6))
    return Correlation(
        value=value,
        low=math.tanh(centre - z * error),
        high=math.tanh(centre + z * error),
        remaining=1 + 2 * float(xy.sum()) / (sum_xx + sum_yy),
        groups=groups,
    )


def deciders(sign: Floats, pulls: Sequence[Floats]) -> Ints:
    """Which of the pulls decides each sign: the place of the largest on its side, -1 for none.

    `pulls` are weighted deviations of components; where the sign is 0 nobody decides it.
    """
    if not len(pulls) or not len(sign):
        return np.full(len(sign), -1, dtype=np.int64)
    towards = np.stack([sign * pull for pull in pulls])
    decides = np.where(towards.max(axis=0) > FLAT_SPREAD, towards.argmax(axis=0), -1)
    return np.asarray(decides, dtype=np.int64)


def share_of(hits: Mask, trials: Mask, group: Ints, *, z: float = Z_95) -> Share:
    """The share of `trials` that are `hits`, with an interval in which groups are independent."""
    tried = np.bincount(group[trials]).astype(np.float64)
    hit = np.bincount(group[trials & hits], minlength=len(tried)).astype(np.float64)
    return clustered(hit[tried > 0], tried[tried > 0], z=z)


def step_means(
    step: Ints, values: npt.NDArray[np.generic], where: Mask | None = None
) -> list[tuple[int, float]]:
    """(step, mean of the values that are not NaN) for each step that has one, in order."""
    numbers = np.asarray(values, dtype=np.float64)
    chosen = ~np.isnan(numbers) if where is None else where & ~np.isnan(numbers)
    steps, places = np.unique(step[chosen], return_inverse=True)
    totals = np.bincount(places, weights=numbers[chosen], minlength=len(steps))
    counts = np.bincount(places, minlength=len(steps))
    return [
        (int(at), float(total / count))
        for at, total, count in zip(steps, totals, counts, strict=True)
    ]


def outcome_name(
    declared: str | None, weights: Mapping[str, float], present: Sequence[str]
) -> str | None:
    """The component that says whether an answer is right: the declared one, else that of the
    largest weight, else the only one."""
    if declared in present:
        return declared
    weighted = [name for name in weights if name in present]
    if weighted:
        return max(weighted, key=lambda name: abs(weights[name]))
    return present[0] if len(present) == 1 else None
