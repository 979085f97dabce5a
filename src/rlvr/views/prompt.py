"""Examples over the steps as plots."""

import math
from collections.abc import Callable, Mapping, Sequence

from rlvr.analysis.histories import Course, Visit
from rlvr.views.plots import Interval, LinePanel, Picture
from rlvr.views.plots.panels import MAX_LINES


def prompt_picture(title: str, visits: Mapping[str, Sequence[Visit]], *, note: str) -> Picture:
    """Reward, solved share, calls and tokens of one example, a line for each mode."""
    return Picture(
        title=title,
        panels=(
            _panel("mean reward", visits, lambda v: (v.reward.value, v.reward.low, v.reward.high)),
            _panel("solved", visits, _solved, y_range=(0.0, 1.0)),
            _panel("tool calls a rollout", visits, lambda v: (v.calls, math.nan, math.nan)),
            _panel("sampled tokens a rollout", visits, lambda v: (v.tokens, math.nan, math.nan)),
        ),
        note=note,
    )


def courses_picture(title: str, courses: Sequence[Course], *, note: str) -> Picture:
    """The solved shares of some examples, a line each."""
    more = len(courses) - MAX_LINES
    series = {
        course.example: tuple(zip(course.steps, course.shares, strict=True))
        for course in courses[:MAX_LINES]
    }
    further = f" ({more} more examples)" if more > 0 else ""
    panel = LinePanel(title=f"solved{further}", series=series, y_range=(0.0, 1.0))
    return Picture(title=title, panels=(panel,), note=note)


def _solved(visit: Visit) -> tuple[float, float, float]:
    found = visit.solved_share
    return found.value, found.low, found.high


def _panel(
    title: str,
    visits: Mapping[str, Sequence[Visit]],
    of: Callable[[Visit], tuple[float, float, float]],
    *,
    y_range: tuple[float, float] | None = None,
) -> LinePanel:
    series, intervals = {}, {}
    for mode, own in visits.items():
        found = [(visit.step, *of(visit)) for visit in own]
        series[mode] = tuple((step, value) for step, value, _, _ in found)
        intervals[mode] = tuple(
            Interval(x=step, low=low, high=high)
            for step, _, low, high in found
            if math.isfinite(low) and math.isfinite(high)
        )
    return LinePanel(title=title, series=series, intervals=intervals, y_range=y_range)
