"""Where a quantity changes its level, of a run's metrics or of its steps."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.record import MetricRow

_FEWEST = 3  # values on the later side: fewer are an outlier, not a level
Series = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """The step from which on a positive quantity is on a higher level; medians before and after."""

    step: int
    before: float
    after: float


def rise_of(series: Series, times: float) -> Rise | None:
    """The first step that is more than `times` the median of the steps before it, as the median of
    the steps from it on is; None without one.

    Values that are not finite or not positive are left out. The higher level lasts to the end of
    the series, and three steps at least, so that a spike is none.
    """
    kept = [(step, value) for step, value in series if math.isfinite(value) and value > 0]
    values = np.array([value for _, value in kept], dtype=np.float64)
    last = values[-_FEWEST:]
    for start in range(1, len(kept) - _FEWEST + 1):
        before = float(np.median(values[:start]))
        if values[start] <= times * before:
            continue
        after = float(np.median(values[start:]))
        if after > times * before and float(np.median(last)) > times * before:
            return Rise(step=kept[start][0], before=before, after=after)
    return None


def metric(rows: Iterable[MetricRow], *names: str) -> list[tuple[int, float]]:
    """(step, value) of the first of the names that the training's rows have, NaN and all.

    The newest attempt counts for a step. Rows are logged after their update, so the values of a
    step's rollouts stand one step later.
    """
    training = [row for row in rows if row.mode == "train"]
    name = next((name for name in names if any(name in row.values for row in training)), None)
    if name is None:
        return []
    newest: dict[int, tuple[int, float]] = {}
    for row in training:
        if name in row.values and row.attempt >= newest.get(row.step, (-1, 0.0))[0]:
            newest[row.step] = row.attempt, float(row.values[name])
    return [(step, newest[step][1]) for step in sorted(newest)]


def not_finite(series: Series) -> list[int]:
    """The steps whose value is NaN or infinite."""
    return [step for step, value in series if not math.isfinite(value)]
