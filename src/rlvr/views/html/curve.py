"""A curve as a small drawing in a page."""

import math
from collections.abc import Sequence

from rlvr.views.html.markup import Html, element
from rlvr.views.terminal.text import number

_WIDTH, _HEIGHT = 360, 48
_MOST = 300


def curve_svg(points: Sequence[tuple[int, float]]) -> Html:
    """The curve of (step, value), in the colour of the text; values that are not finite leave it.

    Empty where nothing is finite.
    """
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if not finite:
        return Html("")
    steps = [step for step, _ in finite]
    values = [value for _, value in finite]
    low, high = min(values), max(values)
    across = max(steps[-1] - steps[0], 1)
    up = high - low or 1.0
    places = " ".join(
        f"{(step - steps[0]) / across * _WIDTH:.1f},{(high - value) / up * _HEIGHT:.1f}"
        for step, value in _some(finite)
    )
    said = (
        f"from {number(values[0])} to {number(values[-1])},"
        f" lowest {number(low)}, highest {number(high)}"
    )
    drawn = (
        f'<svg viewBox="-3 -3 {_WIDTH + 6} {_HEIGHT + 6}" width="{_WIDTH + 6}"'
        f' height="{_HEIGHT + 6}"'
        f' role="img" aria-label="{said}"><polyline points="{places}" fill="none"'
        ' stroke="currentColor" stroke-width="1.5"/></svg>'
    )
    return Html(drawn + element("div", f"steps {steps[0]} to {steps[-1]}, {said}", kind="note"))


def _some(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most _MOST of them, evenly spread, the first and the last among them."""
    if len(points) <= _MOST:
        return list(points)
    return [points[round(at * (len(points) - 1) / (_MOST - 1))] for at in range(_MOST)]
