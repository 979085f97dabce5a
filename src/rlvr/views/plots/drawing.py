"""Panels onto the axes of a figure."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlvr.views.plots.labels import label
from rlvr.views.plots.panels import (
    MAX_LINES,
    DotPanel,
    HeatPanel,
    LinePanel,
    Panel,
    Points,
    SharePanel,
)
from rlvr.views.plots.style import GREY, colour, dashes, hatch

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

TITLE_CHARS = 70
_LARGEST = 1e100
_FEW = 20
_MAX_CELLS = 24


def draw_panel(axes: "Axes", panel: Panel) -> None:
    """Draw the panel."""
    axes.set_title(label(panel.title, TITLE_CHARS))
    match panel:
        case LinePanel():
            _lines(axes, panel)
        case SharePanel():
            _shares(axes, panel)
        case HeatPanel():
            _heat(axes, panel)
        case DotPanel():
            _dots(axes, panel)


def _lines(axes: "Axes", panel: LinePanel) -> None:
    shown = {name: _drawable(points) for name, points in panel.series.items()}
    kept = list(shown)[:MAX_LINES]
    if not any(math.isfinite(y) for name in kept for _, y in shown[name]):
        _nothing(axes)
        return
    if len(shown) > len(kept):
        title = f"{label(panel.title, TITLE_CHARS - 20)} ({len(shown) - len(kept)} more not drawn)"
        axes.set_title(title)
    handles: list[Artist] = []
    for at, name in enumerate(kept):
        xs, ys = [x for x, _ in shown[name]], [y for _, y in shown[name]]
        marker = "o" if len(xs) <= _FEW else ""
        (line,) = axes.plot(xs, ys, color=colour(at), ls=dashes(at), marker=marker, markersize=2.5)
        handles.append(line)
        band = [b for b in panel.intervals.get(name, ()) if _fits(b.x, b.low, b.high)]
        if band:
            low, high = [b.low for b in band], [b.high for b in band]
            axes.fill_between(
                [b.x for b in band], low, high, color=colour(at), alpha=0.15, linewidth=0
            )
    if panel.y_range is not None:
        bottom, top = panel.y_range
        room = 0.03 * (top - bottom)
        axes.set_ylim(bottom - room, top + room)
    _name_axes(axes, panel.x_label, panel.y_label)
    _whole_steps(axes)
    for marker_at in panel.markers:
        _mark(axes, marker_at.x, marker_at.label)
    _legend(axes, handles, kept)


def _mark(axes: "Axes", x: float, text: str) -> None:
    axes.axvline(x, color=GREY, linewidth=1, ls=(0, (2, 2)))
    axes.annotate(
        label(text, 30),
        (x, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(2, -2),
        textcoords="offset points",
        rotation=90,
        va="top",
        fontsize=7,
        color=GREY,
        bbox={"facecolor": "white", "alpha": 0.5, "edgecolor": "none", "pad": 1},
    )


def _shares(axes: "Axes", panel: SharePanel) -> None:
    series = {name: _drawable(points) for name, points in panel.series.items()}
    xs = [x for x, _ in next(iter(series.values()), [])]
    rows = [[y if math.isfinite(y) else 0.0 for _, y in points] for points in series.values()]
    if not xs or not any(map(any, rows)):
        _nothing(axes)
        return
    if len(xs) == 1:  # an area of one step has no width
        xs, rows = [xs[0] - 0.5, xs[0] + 0.5], [row * 2 for row in rows]
    areas = axes.stackplot(xs, *rows, colors=[colour(at) for at in range(len(rows))], alpha=0.75)
    for at, area in enumerate(areas):
        area.set_hatch(hatch(at))
        area.set_edgecolor("white")
        area.set_linewidth(0.4)
    axes.set_ylim(0, 1)
    axes.set_xlim(xs[0], xs[-1])
    _name_axes(axes, panel.x_label, panel.y_label)
    _whole_steps(axes)
    _legend(axes, list(areas), list(series))


def _heat(axes: "Axes", panel: HeatPanel) -> None:
    import numpy as np

    rows, columns = panel.rows[:_MAX_CELLS], panel.columns[:_MAX_CELLS]
    if not rows or not columns:
        _nothing(axes)
        return
    cells = np.array(
        [
            [math.nan if value is None else value for value in row[: len(columns)]]
            for row in panel.values[: len(rows)]
        ],
        dtype=np.float64,
    )
    axes.imshow(
        np.ma.masked_invalid(cells),
        cmap="RdBu_r",
        vmin=-panel.limit,
        vmax=panel.limit,
        aspect="auto",
    )
    axes.grid(visible=False)
    names = [label(name, 22) for name in columns]
    axes.set_xticks(range(len(columns)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), [label(name, 24) for name in rows])
    for (y, x), value in np.ndenumerate(cells):
        if math.isfinite(value):
            dark = abs(value) > 0.6 * panel.limit
            axes.text(
                x, y, f"{value:+.2f}", ha="center", va="center", color="white" if dark else "black"
            )


def _dots(axes: "Axes", panel: DotPanel) -> None:
    names = [name for name, value in panel.values.items() if _fits(value)][:_MAX_CELLS]
    if not names:
        _nothing(axes)
        return
    for at, name in enumerate(names):
        low_high = panel.intervals.get(name)
        if low_high is not None and _fits(*low_high):
            axes.plot(low_high, (at, at), color=colour(0), linewidth=2.5, alpha=0.5)
        axes.plot(panel.values[name], at, marker="o", color=colour(0))
    axes.set_yticks(range(len(names)), [label(name, 44) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    if panel.zero:
        axes.axvline(0, color=GREY, linewidth=1)
    _name_axes(axes, panel.x_label, "")


def _name_axes(axes: "Axes", x_label: str, y_label: str) -> None:
    axes.set_xlabel(label(x_label, 60))
    axes.set_ylabel(label(y_label, 40))


def _whole_steps(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))


def _legend(axes: "Axes", handles: "Sequence[Artist]", names: Sequence[str]) -> None:
    """The names, set after the legend is made: one that begins with "_" would be left out."""
    legend = axes.legend(
        handles, [str(at) for at in range(len(names))], loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(label(name, 28))


def _nothing(axes: "Axes") -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no finite value to draw", ha="center", va="center", color=GREY)


def _drawable(points: Points) -> list[tuple[float, float]]:
    return [(float(x), float(y) if _fits(y) else math.nan) for x, y in points if _fits(x)]


def _fits(*values: float) -> bool:
    return all(math.isfinite(value) and abs(value) < _LARGEST for value in values)
