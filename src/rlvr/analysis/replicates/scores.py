"""What one run is compared by: its outcome over the steps, and single numbers of that curve."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Columns, Floats, Ints, Mask
from rlvr.analysis.outcome import Measure

SCORE_COLUMNS = (
    "step",
    "example_id",
    "reward",
    "rewards",
    "sampled_tokens",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_num_tool_errors",
)
"""The columns that `read_curve` asks for."""

USE: Mapping[str, str] = {
    "turns": "derived_num_turns",
    "tool_calls": "derived_num_tool_calls",
    "tool_errors": "derived_num_tool_errors",
    "sampled_tokens": "sampled_tokens",
}
"""What a rollout takes, each with its column."""

CURVE = ("last", "gain", "best", "reached", "area")
"""Numbers of a curve over several steps; `last` also of a single one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Means over the rollouts of each step, NaN where none has a value. Arrays: (steps,).

    `unscored` rollouts of the `rollouts` have no finite value of the measure. `use` has a curve
    for each name of USE.
    """

    steps: Ints
    values: Floats
    use: Mapping[str, Floats]
    rollouts: int
    unscored: int

    @property
    def scored(self) -> Mask:
        """Where there is a value. Shape (steps,)."""
        return np.isfinite(self.values)

    def until(self, first: int, last: int) -> "Curve":
        """The steps between two, both included; the counts stay those of all."""
        inside = (self.steps >= first) & (self.steps <= last)
        return Curve(
            steps=self.steps[inside],
            values=self.values[inside],
            use={name: values[inside] for name, values in self.use.items()},
            rollouts=self.rollouts,
            unscored=self.unscored,
        )


def read_curve(columns: Columns, measure: Measure, *, passes: bool = False) -> Curve:
    """The curve of a run's rollouts.

    With `passes` a value is the pass rate instead: the share of an example's rollouts that the
    measure calls solved, with each example counting once.
    """
    steps, places = np.unique(columns.numbers("step"), return_inverse=True)
    values = measure.values(columns)
    unscored = int((~np.isfinite(values)).sum())
    if passes:
        curve = _pass_rates(columns, places, len(steps), values, measure)
    else:
        curve = _means(places, len(steps), values)
    return Curve(
        steps=steps.astype(np.int64),
        values=curve,
        use={
            name: _means(places, len(steps), columns.numbers(column))
            for name, column in USE.items()
        },
        rollouts=len(columns),
        unscored=unscored,
    )


def scores(curve: Curve, *, window: int, threshold: float) -> dict[str, float]:
    """Each number by its name; NaN where the curve does not have it.

    last: mean over the last `window` steps that have a value. gain: that minus the mean over the
    first ones. best: highest mean over as many steps in a row. reached: first step at which the
    mean over the `window` steps up to it is at least the threshold. area: area under the curve,
    divided by the steps it spans. What rollouts take is a mean over the last steps.
    """
    scored = curve.scored
    steps, values = curve.steps[scored], curve.values[scored]
    found = dict.fromkeys((*CURVE, *USE), math.nan)
    if len(values):
        window = min(window, len(values))
        found["last"] = float(values[-window:].mean())
    if len(values) > 1:
        moving = np.convolve(values, np.full(window, 1 / window), mode="valid")
        crossed = np.flatnonzero(moving >= threshold)
        found["gain"] = found["last"] - float(values[:window].mean())
        found["best"] = float(moving.max())
        found["reached"] = float(steps[crossed[0] + window - 1]) if len(crossed) else math.nan
        found["area"] = float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))
    for name, used in curve.use.items():
        known = used[np.isfinite(used)][-window:]
        found[name] = float(known.mean()) if len(known) else math.nan
    return found


def _means(places: Ints, count: int, values: Floats) -> Floats:
    """The mean of the finite values at each place."""
    finite = np.isfinite(values)
    sums = np.bincount(places[finite], values[finite], minlength=count)
    counts = np.bincount(places[finite], minlength=count)
    means: Floats = np.divide(sums, counts, out=np.full(count, math.nan), where=counts > 0)
    return means


def _pass_rates(
    columns: Columns, places: Ints, count: int, values: Floats, measure: Measure
) -> Floats:
    solved = np.where(np.isfinite(values), values >= measure.solved_from(values), math.nan)
    codes = columns.codes("example_id")
    # Rollouts that name no example count as one each.
    alone = np.arange(len(codes)) + codes.max(initial=-1) + 1
    names = np.where(codes < 0, alone, codes)
    pairs, examples = np.unique(np.stack([places, names]), axis=1, return_inverse=True)
    return _means(pairs[0], count, _means(examples.ravel(), pairs.shape[1], solved))
