"""The rollouts behind the numbers of `examine_rewards`: each share's hits, each count's rows."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import combinations

import numpy as np
import pyarrow as pa

from rlvr.analysis.columns import Columns, Ints, Mask
from rlvr.analysis.deciding import (
    beside_outcome,
    opposed,
    part_of,
    signs_of,
    weighted_deviations,
)
from rlvr.analysis.within import FLAT_SPREAD, deviations, outcome_name, spreads


class Behind(StrEnum):
    """What a number of the reward page counts.

    MOVED: an advantage that is not 0. Of a component, UNSCORED: its scorer gave none; LACKING: it
    has no finite value; VARIES: it varies in the group; DECIDES, FOLLOWS, FLIPS, VANISHES: as
    `Decisions` says. AGREES, ELSEWHERE: as `OutcomeUse` says. OPPOSED, of two: they deviate to
    opposite sides.
    """

    MOVED = "moved"
    UNSCORED = "unscored"
    LACKING = "lacking"
    VARIES = "varies"
    DECIDES = "decides"
    FOLLOWS = "follows"
    FLIPS = "flips"
    VANISHES = "vanishes"
    AGREES = "agrees"
    ELSEWHERE = "elsewhere"
    OPPOSED = "opposed"


Number = tuple[str, ...]
"""A `Behind`, then the component that it is of, or the two."""


def reward_rows(
    table: pa.Table, weights: Mapping[str, float], *, outcome: str | None = None
) -> dict[Number, Ints]:
    """The rows of a table with REWARD_COLUMNS behind each number; arguments as those of
    `examine_rewards`."""
    return {number: np.flatnonzero(mask) for number, mask in _masks(table, weights, outcome)}


def _masks(
    table: pa.Table, weights: Mapping[str, float], outcome: str | None
) -> Iterator[tuple[Number, Mask]]:
    columns = Columns(table=table)
    group, names = columns.codes("group_id"), columns.component_names
    known = {name: weights[name] for name in names if np.isfinite(weights.get(name, np.nan))}
    signs = signs_of(columns, group, known)
    yield (Behind.MOVED,), signs.moved
    for name in names:
        values = columns.component(name)
        scored = np.isfinite(values)
        spread = spreads(np.where(scored, values, np.nan), group)
        yield (Behind.UNSCORED, name), columns.unscored(name)
        yield (Behind.LACKING, name), np.asarray(columns.named(name) & ~scored)
        yield (Behind.VARIES, name), np.asarray(scored & (spread > FLAT_SPREAD)[group])
    for name in known if signs.moved.any() else ():
        part = part_of(signs, name)
        yield (Behind.DECIDES, name), part.decides
        yield (Behind.FOLLOWS, name), part.follows
        yield (Behind.FLIPS, name), part.flips
        yield (Behind.VANISHES, name), part.vanishes
    pulls = weighted_deviations(columns, group, known)
    for first, second in combinations(pulls, 2):
        yield (Behind.OPPOSED, first, second), opposed(pulls[first], pulls[second])[0]
    judge = outcome_name(outcome, known, names)
    if judge is not None:
        beside = beside_outcome(deviations(columns.component(judge), group), group, signs)
        yield (Behind.AGREES, judge), beside.agrees[0]
        yield (Behind.ELSEWHERE, judge), beside.elsewhere[0]
