"""Do the advantages of a run show that every reward component has a weight of 1?

GRPO's advantage is a positive multiple, in each group, of the total reward minus the group's mean
(arXiv 2402.03300). Rewards and advantages together so refute wrong weights, but never their scale.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_CLOSE = 1e-3  # trainers compute in float32
_GROUPS = 3
_FLAT = 1e-6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One rollout's component values and its advantage; None where there is none."""

    group: tuple[int, str]
    values: tuple[float | None, ...]
    advantage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownWeights:
    """The weights that are shown, none where nothing shows them, and how they are."""

    weights: Mapping[str, float] = field(default_factory=dict)
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Component values minus their group's mean, (rollouts, components), and the advantages."""

    centred: Floats
    advantages: Floats


def unit_weights(scored: Sequence[Scored], names: Sequence[str]) -> ShownWeights:
    """Weights of 1 where all advantages follow from them, and would not if one were doubled."""
    groups = _groups(scored)
    ones = np.ones(len(names))
    telling = [group for group in groups if np.abs(group.centred @ ones).max(initial=0) > _FLAT]
    needed = telling if len(names) > 1 else groups
    if len(needed) < _GROUPS or not all(_fits(group, ones) for group in groups):
        return ShownWeights()
    for place in range(len(names) if len(names) > 1 else 0):
        doubled = ones.copy()
        doubled[place] = 2.0
        if all(_fits(group, doubled) for group in groups):
            return ShownWeights()
    scale = "" if len(names) > 1 else "; a single component's weight only scales the total"
    return ShownWeights(
        weights=dict.fromkeys(names, 1.0),
        sentence=f"totals were computed with weights of 1: they give the advantages of all"
        f" {len(groups)} groups that were looked at, {len(telling)} of them with a spread{scale}",
    )


def _groups(scored: Sequence[Scored]) -> list[_Group]:
    """The groups of two or more rollouts that have an advantage and some value each."""
    rows: dict[tuple[int, str], list[Scored]] = defaultdict(list)
    for rollout in scored:
        rows[rollout.group].append(rollout)
    found = []
    for group in rows.values():
        values = np.array([[_number(value) for value in row.values] for row in group])
        advantages = np.array([_number(row.advantage) for row in group])
        unscored = np.isnan(values).all(axis=1).any() if values.size else True
        if len(group) > 1 and np.isfinite(advantages).all() and not unscored:
            values = np.nan_to_num(values, nan=0.0)
            found.append(_Group(centred=values - values.mean(axis=0), advantages=advantages))
    return found


def _fits(group: _Group, weights: Floats) -> bool:
    """Whether the advantages are a positive multiple of the centred totals."""
    total = group.centred @ weights
    if np.abs(total).max() <= _FLAT:
        return bool(np.abs(group.advantages).max() <= _CLOSE)
    factor = float(total @ group.advantages) / float(total @ total)
    off = np.abs(group.advantages - factor * total)
    return factor > 0 and bool((off <= _CLOSE * (1 + np.abs(group.advantages))).all())


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
