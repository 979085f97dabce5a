"""A success and a failure of one prompt that differ as most do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.contrast.effects import Contrast, Effect
from rlvr.analysis.contrast.features import FeatureTable

_EFFECTS = 12
_PER_SIDE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two rollouts of one group, as rows of the table.

    `distance` is how far their difference is from the mean one: the root mean square over the
    compared features, in standard deviations within groups.
    """

    success: int
    failure: int
    distance: float


def typical_pairs(
    table: FeatureTable, found: Contrast, *, success: Mask, group: Ints, count: int
) -> tuple[Pair, ...]:
    """The pairs of at most `count` groups whose difference is most like the mean difference.

    Compared are the features that survive the correction, at most twelve; where none does, the
    first of the ranking. Of equally typical pairs the earlier rows come first.
    """
    effects = (found.surviving or found.effects)[:_EFFECTS]
    scaled = [_scaled(table, effect) for effect in effects if effect.standardised]
    if not scaled:
        return ()
    values = np.stack([column for column, _ in scaled], axis=1)
    mean = np.array([target for _, target in scaled])
    best: dict[int, Pair] = {}
    for pair in _candidates(values, mean, success, group):
        held = best.get(int(group[pair.success]))
        if held is None or pair.distance < held.distance:
            best[int(group[pair.success])] = pair
    ranked = sorted(best.values(), key=lambda pair: (pair.distance, pair.success, pair.failure))
    return tuple(ranked[:count])


def telling_pair(
    table: FeatureTable, effect: Effect, *, success: Mask, group: Ints
) -> tuple[int, int] | None:
    """The rows of a success and a failure of one group that differ most in the effect's direction;
    None where no group has a value of both. Of equal ones the earlier group's."""
    towards = -1.0 if effect.difference < 0 else 1.0
    values = towards * table.values[:, table.features.index(effect.feature)]
    (of_won, won), (of_lost, lost) = (
        _highest(np.flatnonzero(side & np.isfinite(values)), sign * values, group)
        for side, sign in ((success, 1.0), (~success, -1.0))
    )
    _, at_won, at_lost = np.intersect1d(of_won, of_lost, return_indices=True)
    if not len(at_won):
        return None
    apart = values[won[at_won]] - values[lost[at_lost]]
    most = int(np.argmax(apart))
    return int(won[at_won[most]]), int(lost[at_lost[most]])


def _highest(rows: Ints, values: Floats, group: Ints) -> tuple[Ints, Ints]:
    """Of each group that has some of these rows, its number and the first row of the highest
    value."""
    ranked = rows[np.lexsort((rows, -values[rows], group[rows]))]
    groups, first = np.unique(group[ranked], return_index=True)
    return groups, ranked[first]


def _scaled(table: FeatureTable, effect: Effect) -> tuple[Floats, float]:
    """A feature in standard deviations within groups, and the mean difference in the same."""
    deviation = effect.difference / effect.standardised
    return table.values[:, table.features.index(effect.feature)] / deviation, effect.standardised


def _candidates(values: Floats, mean: Floats, success: Mask, group: Ints) -> Iterator[Pair]:
    """The first few successes of each group with its first few failures. A feature that one of the
    two has no value of counts as no difference."""
    for rows in _rows_by_group(group):
        sides = [[row for row in rows if success[row] == side][:_PER_SIDE] for side in (1, 0)]
        for won, lost in product(*sides):
            apart = np.nan_to_num(values[won] - values[lost]) - mean
            yield Pair(success=won, failure=lost, distance=float(np.sqrt((apart**2).mean())))


def _rows_by_group(group: Ints) -> Sequence[Sequence[int]]:
    rows: dict[int, list[int]] = {}
    for row, of in enumerate(group.tolist()):
        rows.setdefault(of, []).append(row)
    return list(rows.values())
