"""How many rollouts got which value."""

import math
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
    low, high = min(finite), max(finite)
    edges = [low + (high / most - low / most) * at for at in range(most)] + [high]
    found = [0] * most
    for value, count in counts.items():
        place = int((value / most - low / most) / (high / most - low / most) * most)
        place = min(max(place, 0), most - 1)
        # An edge is what a reader's filter compares with, so that it decides.
        while place and value < edges[place]:
            place -= 1
        while place + 1 < most and value >= edges[place + 1]:
            place += 1
        found[place] += count
    return [
        Bar(low=edges[at], high=edges[at + 1], count=count, last=at + 1 == most)
        for at, count in enumerate(found)
    ]
