"""Means over few seeds and their differences, with Student's distribution exact down to two."""

import math
from dataclasses import dataclass

from rlvr.analysis.columns import Floats
from rlvr.analysis.statistics import Mean

LEVEL = 0.95
_TINY = 1e-300
_EPSILON = 1e-14
_MOST_TERMS = 500
_HALVINGS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanDifference:
    """The mean of one sample minus that of another, with bounds and the chance of one as far from
    0 where both means are equal; NaN where nobody can tell."""

    value: float
    low: float
    high: float
    p: float
    freedom: float


def mean_over(values: Floats) -> Mean:
    """The mean with Student's interval of 95 %; its bounds are NaN for a single value.

    `values` has shape (seeds,) and no NaN.
    """
    count = len(values)
    if not count:
        return Mean(value=math.nan, low=math.nan, high=math.nan, count=0)
    value = float(values.mean())
    half = half_width(float(values.std(ddof=1)), count) if count > 1 else math.nan
    return Mean(value=value, low=value - half, high=value + half, count=count)


def half_width(deviation: float, count: int) -> float:
    """Half of Student's interval of a mean over so many values with that standard deviation."""
    return quantile(count - 1) * deviation / math.sqrt(count) if count > 1 else math.nan


def welch(a: Floats, b: Floats) -> MeanDifference:
    """The mean of a minus that of b with the interval of B. L. Welch, 1947, for unequal variances.

    Without two values on each side, or where no value differs from those of its own side, there is
    no spread to judge by and the bounds are NaN.
    """
    value = float(a.mean() - b.mean()) if len(a) and len(b) else math.nan
    nothing = MeanDifference(value=value, low=math.nan, high=math.nan, p=math.nan, freedom=math.nan)
    if min(len(a), len(b)) < 2:
        return nothing
    of_a, of_b = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    variance = of_a + of_b
    if variance <= 0:
        return nothing
    freedom = variance**2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    error = math.sqrt(variance)
    half = quantile(freedom) * error
    return MeanDifference(
        value=value,
        low=value - half,
        high=value + half,
        p=two_sided(value / error, freedom),
        freedom=freedom,
    )


def two_sided(t: float, freedom: float) -> float:
    """The chance that Student's t lies as far from 0, with degrees of freedom that may be broken.

    By the incomplete beta function: M. Abramowitz and I. Stegun, 1964, equation 26.7.1.
    """
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def quantile(freedom: float, level: float = LEVEL) -> float:
    """The t beyond which, on either side, the chance is 1 - level. `freedom` is above 0."""
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > 1 - level:
        low, high = high, high * 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if two_sided(middle, freedom) > 1 - level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function of x in [0, 1]."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction below converges slowly
        return 1 - _incomplete_beta(b, a, 1 - x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / a
    return front * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of equation 26.5.8 by W. J. Lentz's method, 1976."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    found = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 + term * d
            c = 1 + term / c
            d = 1 / (d if abs(d) > _TINY else _TINY)
            c = c if abs(c) > _TINY else _TINY
            found *= c * d
        if abs(c * d - 1) < _EPSILON:
            break
    return found
