"""Curves drawn with characters: braille dots in colour, or one mark per series in plain text.

Drawn here rather than by plotext: that library keeps one global figure, takes a quarter of a
second to import, and changed its whole interface between 5 and 6.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from rlvr.views.terminal.text import inert, number

Points = Sequence[tuple[int, float]]

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
MARKS = "●○▲△■□"
BARS = "▁▂▃▄▅▆▇█"
MAX_WIDTH = 96
PIPE_WIDTH = 78


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Several series over steps in one plot. Values that are not finite leave gaps.

    Without ranges the plot holds every point; rewards between 0 and 1 are shown from 0 to 1.
    """

    series: Mapping[str, Points]
    title: str | None = None
    x_label: str = "step"
    height: int = 12
    width: int | None = None
    y_range: tuple[float, float] | None = None
    x_range: tuple[int, int] | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Braille where colour tells the series apart, marks where it can't."""
        coloured = console.color_system is not None and not console.no_color
        widest = MAX_WIDTH if console.is_terminal else PIPE_WIDTH
        width = self.width or min(options.max_width, widest)
        yield self.drawn(width, coloured=coloured)

    def drawn(self, width: int, *, coloured: bool) -> Text:
        """The whole plot as one text of lines that are at most `width` cells wide."""
        shown = {name: _finite(points) for name, points in self.series.items()}
        if not any(shown.values()):
            return Text("no finite value to draw", style="dim")
        frame = _Frame.around(list(shown.values()), self.x_range, self.y_range)
        labels = [number(value, 2) for value in (frame.top, frame.middle, frame.bottom)]
        margin = max(len(label) for label in labels)
        columns = max(8, width - margin - 3)
        braille = coloured or len(shown) == 1
        cells = _cells(self.series, frame, columns, self.height, braille=braille)
        lines = [*self._legend(shown, braille=braille, width=width)]
        rows = {0: labels[0], self.height // 2: labels[1], self.height - 1: labels[2]}
        for y in range(self.height):
            line = Text(f"{rows.get(y, ''):>{margin}} {'┤' if y in rows else '│'}", style="dim")
            for character, series in cells[y]:
                line.append(character, f"not dim {COLOURS[series % len(COLOURS)]}")
            line.rstrip()
            lines.append(line)
        lines += self._x_axis(frame, margin, columns)
        return Text("\n").join(lines)

    def _legend(self, shown: Mapping[str, Points], *, braille: bool, width: int) -> Iterator[Text]:
        if self.title:
            yield Text(self.title, style="bold")
        line = Text()
        for at, (name, points) in enumerate(shown.items()):
            mark = "━━" if braille else MARKS[at % len(MARKS)]
            entry = Text(f"{mark} ", style=COLOURS[at % len(COLOURS)])
            entry.append(inert(name), "bold")
            if points:
                entry.append(f" {number(points[0][1], 2)} → {number(points[-1][1], 2)}")
            if line and line.cell_len + entry.cell_len + 3 > width:
                yield line
                line = Text()
            line.append("   " if line else "").append_text(entry)
        yield line

    def _x_axis(self, frame: "_Frame", margin: int, columns: int) -> list[Text]:
        first, middle, last = (f"{round(x):,}" for x in (frame.left, frame.centre, frame.right))
        axis = [" "] * columns
        _write(axis, first, 0)
        if frame.right > frame.left:
            _write(axis, last, columns - len(last))
        if columns > 30 and frame.right - frame.left > 3:
            _write(axis, middle, (columns - len(middle)) // 2)
        gap = " " * (margin + 2)
        label = self.x_label.center(columns).rstrip()
        bottom = " " * (margin + 1) + "└" + "─" * columns
        return [Text(text, style="dim") for text in (bottom, gap + "".join(axis), gap + label)]


def reward_curves(
    series: Mapping[str, Points], *, title: str | None = "mean reward", height: int = 12
) -> Curves:
    """One curve per run: (step, mean reward) pairs under the run's name."""
    return Curves(series=series, title=title, height=height)


def sparkline(values: Sequence[float], *, width: int = 24) -> str:
    """The values as bars from their own lowest to their highest; a gap where one isn't finite."""
    binned = list(_binned(values, width))
    finite = [value for value in binned if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    if high == low:
        return "".join("▄" if math.isfinite(value) else " " for value in binned)
    return "".join(_bar(value, low, high) for value in binned)


@dataclass(frozen=True, slots=True)
class _Frame:
    left: float
    right: float
    bottom: float
    top: float

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2

    @classmethod
    def around(
        cls,
        series: Sequence[Points],
        x_range: tuple[int, int] | None,
        y_range: tuple[float, float] | None,
    ) -> "_Frame":
        xs = [x for points in series for x, _ in points]
        ys = [y for points in series for _, y in points]
        bottom, top = y_range or _round_range(min(ys), max(ys))
        left, right = x_range or (min(xs), max(xs))
        return cls(left, right, bottom, top)

    def place(self, x: float, y: float, columns: int, rows: int) -> tuple[int, int]:
        """The dot of a point in a grid whose row 0 is at the top, clipped to the grid."""
        across = (x - self.left) / (self.right - self.left) if self.right > self.left else 0.0
        up = (y - self.bottom) / (self.top - self.bottom)
        return (
            min(columns - 1, max(0, round(across * (columns - 1)))),
            min(rows - 1, max(0, round((1 - up) * (rows - 1)))),
        )


def _round_range(low: float, high: float) -> tuple[float, float]:
    """0 to 1 where the values allow it, so that runs compare at a glance; else rounded outwards."""
    if low >= 0 and 0.2 <= high <= 1:
        return 0.0, 1.0
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 0.0, 1.0
    unit = 10.0 ** math.floor(math.log10(high - low)) / 2
    return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


def _finite(points: Points) -> Points:
    return [(x, y) for x, y in points if math.isfinite(y)]


def _cells(
    series: Mapping[str, Points], frame: _Frame, columns: int, rows: int, *, braille: bool
) -> list[list[tuple[str, int]]]:
    """Character and series of each cell. Where two series meet, the later one is seen."""
    cells = [[(" ", 0)] * columns for _ in range(rows)]
    across, down = (2, 4) if braille else (1, 1)
    for at, points in enumerate(series.values()):
        bits: dict[tuple[int, int], int] = {}
        for x, y in _dots(points, frame, columns * across, rows * down):
            cell = (y // down, x // across)
            bits[cell] = bits.get(cell, 0) | _BRAILLE[y % 4][x % 2]
        for (row, column), dots in bits.items():
            character = chr(0x2800 + dots) if braille else MARKS[at % len(MARKS)]
            cells[row][column] = (character, at)
    return cells


_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def _dots(points: Points, frame: _Frame, columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """The dots of the line through the points, broken where a value isn't finite."""
    before: tuple[int, int] | None = None
    for x, y in points:
        if not math.isfinite(y):
            before = None
            continue
        here = frame.place(x, y, columns, rows)
        yield from _line(before or here, here)
        before = here


def _line(start: tuple[int, int], stop: tuple[int, int]) -> Iterator[tuple[int, int]]:
    length = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]), 1)
    for at in range(length + 1):
        part = at / length
        yield (
            round(start[0] + (stop[0] - start[0]) * part),
            round(start[1] + (stop[1] - start[1]) * part),
        )


def _write(axis: list[str], label: str, at: int) -> None:
    axis[max(0, at) : max(0, at) + len(label)] = label


def _binned(values: Sequence[float], width: int) -> Iterator[float]:
    if len(values) <= width:
        yield from values
        return
    for at in range(width):
        part = values[at * len(values) // width : (at + 1) * len(values) // width]
        finite = [value for value in part if math.isfinite(value)]
        yield sum(finite) / len(finite) if finite else math.nan


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return " "
    return BARS[min(len(BARS) - 1, int((value - low) / (high - low) * len(BARS)))]
