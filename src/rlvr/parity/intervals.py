"""Means of rollouts that resemble each other, and how far two of them are apart."""

import math
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Ints
from rlvr.analysis.statistics import Z_95, clustered, student_t

Z_99 = 2.575829
"""Of 99 %: for each of the twenty or so questions that are asked beside the gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with the bounds of its interval; NaN where nobody can tell.

    `n` counts the rollouts (or calls) behind it and `clusters` the examples they belong to.
    """

    value: float
    low: float
    high: float
    n: int = 0
    clusters: int = 0

    @property
    def apart_from_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Of each cluster the sum of the values and the number of the trials, shape (clusters,)."""

    hits: Floats
    trials: Floats
    fraction: bool

    @property
    def present(self) -> "Sums":
        """Without the clusters that have no trial."""
        kept = self.trials > 0
        return Sums(hits=self.hits[kept], trials=self.trials[kept], fraction=self.fraction)


def sums(values: Floats, trials: Floats, cluster: Ints, clusters: int) -> Sums:
    """Sums by cluster; values that are NaN, and their trials, are left out."""
    known = np.isfinite(values) & np.isfinite(trials)
    hits = np.bincount(cluster[known], weights=values[known], minlength=clusters)
    tried = np.bincount(cluster[known], weights=trials[known], minlength=clusters)
    inside = values[known]
    return Sums(
        hits=hits.astype(np.float64),
        trials=tried.astype(np.float64),
        fraction=bool((inside >= 0).all() and (inside <= trials[known]).all()),
    )


def estimate(of: Sums, *, z: float = Z_95) -> Estimate:
    """The mean over all trials, with an interval in which the clusters are the independent units.

    Values between 0 and 1: Wilson's for as many independent trials as have the clustered variance
    (`rlvr.analysis.statistics.clustered`), so that 0 of n has an upper bound. Others: the clustered
    standard error (E. Miller, 2024, arXiv 2411.00640) and Student's t.
    """
    own = of.present
    tried, count = float(own.trials.sum()), len(own.trials)
    if not tried:
        return Estimate(value=math.nan, low=math.nan, high=math.nan)
    value = float(own.hits.sum()) / tried
    if own.fraction:
        share = clustered(own.hits, own.trials, z=z)
        low, high = min(share.low, value), max(share.high, value)
    else:
        half = student_t(z, count - 1) * math.sqrt(_variance(own.hits, own.trials))
        low, high = value - half, value + half
    return Estimate(value=value, low=low, high=high, n=round(tried), clusters=count)


def difference(a: Sums, b: Sums, *, z: float = Z_95) -> Estimate:
    """The mean of b minus that of a; both have the sums of the same clusters in the same places.

    The bounds follow from those of the two means (MOVER: G. Zou and A. Donner, Statistics in
    Medicine 27, 2008; for shares R. Newcombe, 17, 1998), less the covariance of examples that are
    on both sides.
    """
    of_a, of_b = estimate(a, z=z), estimate(b, z=z)
    value = of_b.value - of_a.value
    rho = _correlation(a, b)
    low = value - _combined(of_b.value - of_b.low, of_a.high - of_a.value, rho)
    high = value + _combined(of_b.high - of_b.value, of_a.value - of_a.low, rho)
    shared = int(((a.trials > 0) & (b.trials > 0)).sum())
    return Estimate(
        value=value,
        low=low,
        high=high,
        n=of_a.n + of_b.n,
        clusters=of_a.clusters + of_b.clusters - shared,
    )


def _combined(of_b: float, of_a: float, rho: float) -> float:
    return math.sqrt(max(of_b**2 + of_a**2 - 2 * rho * of_a * of_b, 0.0))


def _influence(of: Sums) -> Floats:
    """How much each cluster moves the mean. Shape (clusters,)."""
    tried = float(of.trials.sum())
    value = float(of.hits.sum()) / tried
    return np.asarray((of.hits - value * of.trials) / tried)


def _variance(hits: Floats, trials: Floats) -> float:
    """The variance of the mean, clusters independent; NaN with less than two."""
    count = len(trials)
    if count < 2:
        return math.nan
    moved = _influence(Sums(hits=hits, trials=trials, fraction=False))
    return float((moved**2).sum()) * count / (count - 1)


def _correlation(a: Sums, b: Sums) -> float:
    if not a.trials.sum() or not b.trials.sum():
        return 0.0
    of_a, of_b = _influence(a), _influence(b)
    scale = math.sqrt(float((of_a**2).sum()) * float((of_b**2).sum()))
    return float((of_a * of_b).sum()) / scale if scale > 0 else 0.0
