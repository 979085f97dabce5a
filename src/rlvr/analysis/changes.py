"""Where the level of a series over steps changes.

Binary segmentation (A. J. Scott and M. Knott, Biometrics 30, 1974): the split that takes most of
the squared error away is kept where no permutation of the values takes as much away at any split,
and both halves are then split in the same way. A slow trend shows as a few changes; that is what a
piecewise constant says of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats

SHORTEST = 5
"""Steps that a level must hold, so that one odd batch is no change."""

PERMUTATIONS = 999
"""No permutation may reach what a change explains: a chance of one in a thousand where nothing
changes, since a page asks some ten series."""

MOST = 5
"""Changes of one series that are told."""

_POINTS = 400
_SEED = 20260801


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of level: the mean of the values from the change before it up to `step`, and from
    `step` to the next one."""

    step: int
    before: float
    after: float


def changes(series: Sequence[tuple[int, float]]) -> tuple[Change, ...]:
    """The changes of level, in order. Values that are not finite are left out.

    More than 400 steps are first averaged in equal runs, so that a change is dated to within a run.
    """
    points = [(step, value) for step, value in series if np.isfinite(value)]
    steps, values = _thinned([step for step, _ in points], [value for _, value in points])
    draw = np.random.default_rng(_SEED)
    found: list[tuple[float, int]] = []
    open_parts = [(0, len(values))]
    while open_parts:
        start, stop = open_parts.pop()
        split = _split(values[start:stop], draw)
        if split is not None:
            gain, at = split
            found.append((gain, start + at))
            open_parts += [(start, start + at), (start + at, stop)]
    kept = sorted(at for _, at in sorted(found, reverse=True)[:MOST])
    bounds = [0, *kept, len(values)]
    return tuple(
        Change(
            step=int(steps[at]),
            before=float(values[bounds[place] : at].mean()),
            after=float(values[at : bounds[place + 2]].mean()),
        )
        for place, at in enumerate(kept)
    )


def _split(values: Floats, draw: np.random.Generator) -> tuple[float, int] | None:
    """What the best split takes away of the squared error, and its place; None for no change."""
    if len(values) < 2 * SHORTEST or np.ptp(values) <= 1e-9:
        return None
    gains = _gains(values[None, :])[0]
    best = int(gains.argmax())
    shuffled = draw.permuted(np.tile(values, (PERMUTATIONS, 1)), axis=1)
    if _gains(shuffled).max() >= gains[best] * (1 - 1e-9):
        return None
    return float(gains[best]), best + SHORTEST


def _gains(rows: Floats) -> Floats:
    """What each split takes away of the squared error. Shape (rows, splits), from SHORTEST on."""
    count = rows.shape[1]
    sums = np.cumsum(rows - rows.mean(axis=1, keepdims=True), axis=1)
    left = np.arange(SHORTEST, count - SHORTEST + 1)
    of_left = sums[:, left - 1]
    return np.asarray(of_left**2 * (1 / left + 1 / (count - left)))


def _thinned(steps: Sequence[int], values: Sequence[float]) -> tuple[Sequence[int], Floats]:
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) <= _POINTS:
        return steps, numbers
    starts = np.arange(_POINTS) * len(numbers) // _POINTS
    sizes = np.diff([*starts, len(numbers)])
    return [steps[start] for start in starts.tolist()], np.add.reduceat(numbers, starts) / sizes
