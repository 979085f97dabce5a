"""Which trajectories a finding shows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.diagnosis.finding import Example
from rlvr.diagnosis.rollouts import Rollouts

COUNT = 3


def examples_of(
    rollouts: Rollouts,
    where: Mask,
    *,
    why: str,
    order: Floats | None = None,
    turns: Ints | None = None,
    locate: Mapping[str, Example] | None = None,
    count: int = COUNT,
) -> tuple[Example, ...]:
    """At most `count` of the rollouts: lowest `order` first (NaN last), else the newest first.

    `turns` has the turn to open each rollout at, negative for none. `locate` knows the exact place
    in some rollouts; these come before the others.
    """
    located = locate or {}
    candidates = np.flatnonzero(where)
    if order is None:
        ranked = candidates[::-1]
    else:
        ranked = candidates[np.argsort(order[candidates], kind="stable")]
    known = [row for row in ranked if rollouts.ids[row] in located] if located else []
    rest = [row for row in ranked[: count + len(known)] if rollouts.ids[row] not in located]
    return tuple(_example(rollouts, row, why, turns, located) for row in [*known, *rest][:count])


def _example(
    rollouts: Rollouts,
    row: int,
    why: str,
    turns: Ints | None,
    located: Mapping[str, Example],
) -> Example:
    id = rollouts.ids[row]
    if id in located:
        return replace(located[id], why=located[id].why or why)
    turn = None if turns is None or turns[row] < 0 else int(turns[row])
    return Example(id=id, why=why, turn=turn)
