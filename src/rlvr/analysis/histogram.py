"""How many rollouts got which value."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """So many values from `low` on, up to `high`, which the last bar holds and the others do not;
    a single value where the two are equal."""

    low: float
    high: float
    count: int
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Finite values in bars, and those that are not finite by what they are."""

    bars: tuple[Bar, ...]
    absent: int = 0
    nan: int = 0
    infinite: int = 0


_FEW = 12


def histogram(values: Sequence[float | None], *, most: int = 24) -> Histogram:
    """At most `most` bars: one for each value where there are few, else of equal width."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return Histogram(
        bars=tuple(_bars(finite, most)),
        absent=sum(value is None for value in values),
        nan=sum(value is not None and math.isnan(value) for value in values),
        infinite=sum(value is not None and math.isinf(value) for value in values),
    )


def _bars(finite: Sequence[float], most: int) -> list[Bar]:
    counts = Counter(finite)
    if len(counts) <= min(_FEW, most):
        return [Bar(low=value, high=value, count=counts[value]) for value in sorted(counts)]
    edges = _edges(min(finite), max(finite), most)
    found = [0] * (len(edges) - 1)
    for value, count in counts.items():
        found[min(bisect_right(edges, value), len(found)) - 1] += count
    return [
        Bar(low=edges[at], high=edges[at + 1], count=count, last=at + 1 == len(found))
        for at, count in enumerate(found)
    ]


def _edges(low: float, high: float, most: int) -> list[float]:
    """Where bars begin, and the end of the last; fewer where floats lie no closer."""
    width = high / most - low / most  # the difference of the two may be infinite
    return sorted({*(min(low + width * at, high) for at in range(most)), high})
