"""When a share is proven to lie above or below a threshold, and when nobody can tell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rlvr.analysis.columns import Floats

Z = 2.576
"""Normal quantile of a two-sided interval of 99 %: a healthy run is asked some twenty questions."""

Z_95 = 1.959964
"""Of 95 %: for a number that is shown, and decides nothing."""

ENOUGH_CLUSTERS = 20
"""From so many groups on, their variance is estimated from themselves: with 19 degrees of freedom
the quantile that it ought to be read with is 2.86 instead of 2.58, an interval a tenth wider."""


_FEWEST_POINTS = 4
_PLACES = 400  # that are tried for a bend, so that long runs take no longer


class Side(StrEnum):
    """Where a share lies, as far as the sample proves it."""

    ABOVE = "above"
    BELOW = "below"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `trials`, and the bounds of its Wilson interval (E. B. Wilson, 1927).

    Of 99 %, unless another one was asked for. NaN where there are no trials.
    """

    hits: float
    trials: float
    value: float
    low: float
    high: float

    def side(self, threshold: float) -> Side:
        """Whether the whole interval lies above or below the threshold."""
        if not self.trials:
            return Side.UNSURE
        if self.low > threshold:
            return Side.ABOVE
        return Side.BELOW if self.high < threshold else Side.UNSURE


def share(hits: float, trials: float, *, clusters: float | None = None, z: float = Z) -> Share:
    """`hits / trials` with its interval; `z` is the normal quantile of its bounds.

    Rollouts of one prompt resemble each other: `clusters` is the number of independent units
    (groups), and the interval is as wide as if each were one trial. None: trials are independent.
    `hits` lies between 0 and `trials`, and `clusters` is at least 1 where there are trials.
    """
    if not trials:
        return Share(hits=hits, trials=0, value=math.nan, low=math.nan, high=math.nan)
    value = hits / trials
    low, high = wilson(value, trials if clusters is None else min(trials, clusters), z=z)
    return Share(hits=hits, trials=trials, value=value, low=low, high=high)


def wilson(value: float, trials: float, *, z: float) -> tuple[float, float]:
    """The bounds of Wilson's interval for a share of so many trials (E. B. Wilson, 1927).

    `value` lies between 0 and 1, and is never outside of them. At 0 and 1 the bound is exact.
    """
    z2 = z * z
    centre = (value + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = value * (1 - value) / trials + z2 / (4 * trials * trials)
    half = z / (1 + z2 / trials) * math.sqrt(spread)
    return min(max(centre - half, 0.0), value), max(min(centre + half, 1.0), value)


def clustered(hits: Floats, trials: Floats, *, z: float = Z) -> Share:
    """The share over clusters that have so many hits of so many trials each, shape (clusters,).

    The interval is that of as many independent trials as have the same variance: the variance of a
    ratio over clusters (L. Kish, Survey Sampling, 1965), which must lie between that of one trial
    a cluster and that of independent trials. With few clusters, no hits, or nothing else, nobody
    can know it, and each cluster counts as one trial.
    """
    hit, tried, count = float(hits.sum()), float(trials.sum()), len(trials)
    if not tried or not 0 < hit < tried or count < ENOUGH_CLUSTERS:
        return share(hit, tried, clusters=count, z=z)
    value = hit / tried
    residuals = hits - value * trials
    variance = float((residuals**2).sum()) * count / (count - 1) / tried**2
    independent = value * (1 - value) / variance if variance > 0 else tried
    return share(hit, tried, clusters=min(max(independent, count), tried), z=z)


def student_t(z: float, freedom: float) -> float:
    """Student's t at the normal quantile z; degrees of freedom may be broken. NaN below one."""
    from scipy.special import ndtr, stdtrit

    return float(stdtrit(freedom, ndtr(z))) if freedom >= 1 else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean over independent values with the bounds of its interval; NaN where nobody can tell.

    `count` is how many values there are.
    """

    value: float
    low: float
    high: float
    count: int


def mean_of(values: Floats, *, z: float = Z_95) -> Mean:
    """The mean of the values, shape (count,), with Student's interval; bounds NaN below two."""
    count = len(values)
    value = float(values.mean()) if count else math.nan
    spread = float(values.std(ddof=1)) if count > 1 else math.nan
    half = student_t(z, count - 1) * spread / math.sqrt(max(count, 1))
    return Mean(value=value, low=value - half, high=value + half, count=count)


def student_p(t: float, freedom: float) -> float:
    """The chance that Student's t lies as far from 0 as this, on either side. NaN for NaN, and
    below one degree of freedom."""
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(t))) if freedom >= 1 else math.nan


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The q-value of each p-value: the share of false discoveries that is expected among all those
    at least as small (Y. Benjamini and Y. Hochberg, 1995). p-values are no NaN."""
    count = len(p_values)
    found = [1.0] * count
    least = 1.0
    ordered = sorted(range(count), key=lambda at: -p_values[at])
    for rank, at in zip(range(count, 0, -1), ordered, strict=True):
        least = min(least, p_values[at] * count / rank)
        found[at] = least
    return found


def onset(series: Sequence[tuple[int, float]], threshold: float) -> int | None:
    """The first step at or above the threshold from which on the mean is so too, else None."""
    total, count, found = 0.0, 0, None
    for step, value in reversed(series):
        total, count = total + value, count + 1
        if value >= threshold and total / count >= threshold:
            found = step
    return found


def trend(values: Sequence[float]) -> float:
    """How surely a series rises: the statistic of Mann and Kendall, normal without a trend.

    Above `Z` it rises with a probability of 99 %, below -`Z` it falls (H. B. Mann, 1945; M. G.
    Kendall, 1975). Ties count nothing and make it smaller. 0 for fewer than three values.
    """
    count = len(values)
    if count < 3:
        return 0.0
    series = np.asarray(values, dtype=np.float64)
    signs = sum(float(np.sign(series[at + 1 :] - series[at]).sum()) for at in range(count - 1))
    variance = count * (count - 1) * (2 * count + 5) / 18
    return (signs - math.copysign(1.0, signs)) / math.sqrt(variance) if signs else 0.0


def bend(series: Sequence[tuple[int, float]]) -> int | None:
    """The step at which a series that was level begins to move evenly, None for fewer than four.

    Of all lines that are level up to a step and straight from there on the one with the smallest
    squared error; a series that moves from its first step on bends there.
    """
    if len(series) < _FEWEST_POINTS:
        return None
    steps = np.array([step for step, _ in series], dtype=np.float64)
    values = np.array([value for _, value in series], dtype=np.float64)
    values -= values.mean()
    places = np.unique(np.linspace(0, len(series) - 3, _PLACES).astype(np.int64))
    explained = []
    for place in places:
        line = np.maximum(0.0, steps - steps[place])
        line -= line.mean()
        explained.append(float(line @ values) ** 2 / float(line @ line))
    return int(steps[places[int(np.argmax(explained))]])
