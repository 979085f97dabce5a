"""Differences of means over few seeds, whose runs need not spread alike."""

import math
from dataclasses import dataclass

from rlvr.analysis.columns import Floats
from rlvr.analysis.statistics import Z_95, student_p, student_t


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanDifference:
    """The mean of one sample minus that of another, with bounds and the chance of one as far from
    0 where both means are equal; NaN where nobody can tell."""

    value: float
    low: float
    high: float
    p: float
    freedom: float


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
    half = student_t(Z_95, freedom) * error
    return MeanDifference(
        value=value,
        low=value - half,
        high=value + half,
        p=student_p(value / error, freedom),
        freedom=freedom,
    )
