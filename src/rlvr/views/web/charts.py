"""Curves over steps as drawings: places in SVG, computed here and drawn by the templates."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rlvr.views.terminal.text import number

WIDTH, HEIGHT = 640.0, 160.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 8.0, 8.0, 22.0
MOST_POINTS = 400
"""Of one curve; of more, evenly spread ones are drawn."""

_LINKED = 80

Point = TypeVar("Point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A curve: (step, value) in order. A value that is None or not finite interrupts it.

    `bounds` has (step, low, high) of intervals; those that are not finite are left out, and what is
    far beyond the values is cut at the edge.
    """

    name: str
    points: Sequence[tuple[int, float | None]]
    bounds: Sequence[tuple[int, float, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark of an axis."""

    at: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A point to open: where it is, what it says, and its URL."""

    x: str
    y: str
    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """An interval as an upright line, and what it says."""

    x: str
    low: str
    high: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve, in a style of its own (`kind` counts from 0), as a path of SVG."""

    name: str
    kind: int
    path: str
    dots: tuple[Dot, ...]
    last: str
    whiskers: tuple[Whisker, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A step that is marked with a line from top to bottom, and what it says."""

    step: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upright:
    """A mark as it is drawn: where, what it says, and its URL."""

    x: str
    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing of some curves. `said` describes it in words; `empty` where nothing is finite."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    said: str
    marks: tuple[Upright, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(line.path for line in self.lines)


def chart(
    title: str,
    series: Sequence[Series],
    *,
    url: Callable[[int], str] = lambda _: "",
    low: float | None = None,
    high: float | None = None,
    marks: Sequence[Mark] = (),
    x_label: str = "step",
) -> Chart:
    """The curves in one drawing; `url` opens a step. `low` and `high` widen the axis to them.

    A mark beyond the curves' ends is left out. `x_label` names what is counted across.
    """
    finite = [
        (step, value)
        for one in series
        for step, value in one.points
        if value is not None and math.isfinite(value)
    ]
    if not finite:
        return Chart(title=title, lines=(), across=(), up=(), said=f"{title}: nothing recorded")
    steps = [step for step, _ in finite]
    values = [value for _, value in finite]
    room = (max(values) - min(values)) or 1.0
    lowest, highest = min(values) - room, max(values) + room
    values += [
        min(max(bound, lowest), highest)
        for one in series
        for _, *ends in _bounded(one)
        for bound in ends
    ]
    bottom = min([*values, *([] if low is None else [low])])
    top = max([*values, *([] if high is None else [high])])
    plane = _Plane(min(steps), max(steps), bottom, top if top > bottom else bottom + 1.0)
    return Chart(
        title=title,
        lines=tuple(_line(one, at, plane, url, x_label) for at, one in enumerate(series)),
        across=tuple(Tick(at=plane.x(step), label=number(step)) for step in plane.marked_steps()),
        up=tuple(Tick(at=plane.y(value), label=number(value)) for value in plane.marked_values()),
        said=f"{title}, {x_label}s {min(steps)} to {max(steps)}: "
        + "; ".join([*filter(None, map(_sentence, series)), *(mark.label for mark in marks)]),
        marks=tuple(
            Upright(x=plane.x(mark.step), label=mark.label, url=url(mark.step))
            for mark in marks
            if plane.first <= mark.step <= plane.last
        ),
    )


@dataclass(frozen=True, slots=True)
class _Plane:
    first: int
    last: int
    low: float
    high: float

    def x(self, step: int) -> str:
        return f"{LEFT + (step - self.first) / max(self.last - self.first, 1) * _ROOM[0]:.1f}"

    def y(self, value: float) -> str:
        return f"{TOP + (self.high - value) / (self.high - self.low) * _ROOM[1]:.1f}"

    def marked_steps(self) -> list[int]:
        return sorted({self.first, (self.first + self.last) // 2, self.last})

    def marked_values(self) -> list[float]:
        return [self.low, (self.low + self.high) / 2, self.high]


_ROOM = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)


def _line(
    series: Series, kind: int, plane: _Plane, url: Callable[[int], str], x_label: str
) -> Line:
    points = _some(series.points, MOST_POINTS)
    path, pen_down = [], False
    for step, value in points:
        if value is None or not math.isfinite(value):
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{plane.x(step)} {plane.y(value)}")
        pen_down = True
    finite = [(s, v) for s, v in series.points if v is not None and math.isfinite(v)]
    dots = tuple(
        Dot(
            x=plane.x(step),
            y=plane.y(value),
            label=f"{x_label} {step}: {series.name} {number(value)}",
            url=url(step),
        )
        for step, value in _some(finite, _LINKED)
    )
    last = number(finite[-1][1]) if finite else ""
    return Line(
        name=series.name,
        kind=kind % 6,
        path=" ".join(path),
        dots=dots,
        last=last,
        whiskers=tuple(
            Whisker(
                x=plane.x(step),
                low=plane.y(max(low, plane.low)),
                high=plane.y(min(high, plane.high)),
                label=f"{x_label} {step}: 95% interval {number(low)} to {number(high)}",
            )
            for step, low, high in _some(_bounded(series), _LINKED)
        ),
    )


def _bounded(series: Series) -> list[tuple[int, float, float]]:
    return [one for one in series.bounds if math.isfinite(one[1]) and math.isfinite(one[2])]


def _some(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of them, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(at * (len(points) - 1) / (most - 1))] for at in range(most)]


def _sentence(series: Series) -> str:
    finite = [value for _, value in series.points if value is not None and math.isfinite(value)]
    if not finite:
        return ""
    return (
        f"{series.name} from {number(finite[0])} to {number(finite[-1])},"
        f" lowest {number(min(finite))}, highest {number(max(finite))}"
    )
