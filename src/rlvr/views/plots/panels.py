"""What a plot shows, as values.

Every text may come from a model or a stranger: it is made inert, cut and drawn literally. A value
that is not finite, or too large to draw (beyond 1e100), leaves a gap.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Points = Sequence[tuple[float, float]]

MAX_LINES = 12
"""Lines of one panel; how many more there would be is said in its title."""


MOST_POINTS = 120
"""Points from which on a line of noisy steps is a smear."""


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most that many points: means over equal numbers of consecutive ones, NaN left out."""
    if len(points) <= most:
        return points
    bounds = [at * len(points) // most for at in range(most + 1)]
    return [_mean(points[start:stop]) for start, stop in pairwise(bounds)]


def _mean(points: Points) -> tuple[float, float]:
    ys = [y for _, y in points if math.isfinite(y)]
    x = sum(x for x, _ in points) / len(points)
    return x, sum(ys) / len(ys) if ys else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The bounds of a line at one place."""

    x: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A place on the x axis worth a vertical line, such as a change point."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePanel:
    """Lines over steps, each with a band where `intervals` has its name.

    `y_range` is None where the values decide.
    """

    title: str
    series: Mapping[str, Points]
    intervals: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    markers: Sequence[Marker] = ()
    x_label: str = "step"
    y_label: str = ""
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharePanel:
    """Shares over steps, stacked from 0 to 1 in the order of `series`, which have equal steps."""

    title: str
    series: Mapping[str, Points]
    x_label: str = "step"
    y_label: str = "share"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPanel:
    """A table of numbers, coloured from -limit (blue) over 0 (white) to limit (red).

    `values` has one sequence a row; None is drawn as an empty cell.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    limit: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DotPanel:
    """One dot a name, from top to bottom, with its interval (low, high) where it has one.

    `zero` draws a line at 0, which intervals may exclude.
    """

    title: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    x_label: str = ""
    zero: bool = False


Panel = LinePanel | SharePanel | HeatPanel | DotPanel


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Panels side by side, at most `columns` in a row, under one title.

    `note` stands beneath them.
    """

    title: str
    panels: Sequence[Panel]
    note: str = ""
    columns: int = 2
