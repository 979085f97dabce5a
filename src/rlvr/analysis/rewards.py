"""What each component of a reward does: its values, and its part in the advantages.

Within a group the prompt is the same, so what a rollout's advantage is made of are the components'
deviations from the group's mean, each times its weight. All questions here are asked of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from rlvr.analysis.columns import Columns, Ints
from rlvr.analysis.deciding import (
    Signs,
    beside_outcome,
    opposed,
    part_of,
    signs_of,
    weighted_deviations,
)
from rlvr.analysis.statistics import Z_95, Share
from rlvr.analysis.within import (
    FLAT_SPREAD,
    Correlation,
    correlation,
    deviations,
    outcome_name,
    share_of,
    spreads,
    step_means,
)

REWARD_COLUMNS = ("step", "group_id", "rewards", "reward", "advantage")
"""The columns that `examine_rewards` asks for."""

Series = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """A component's part in the advantages that are not 0, as shares with intervals of 95 %.

    `decides`: of all components its deviation, times its weight, is the largest on the side of the
    advantage's sign; these shares add up to 1 over the components. `follows`: where the component
    deviates, the sign of the advantage is that of its deviation. `flips` and `vanishes`: without
    it the sum of the others would have the other sign, or none.
    """

    decides: Share
    follows: Share
    flips: Share
    vanishes: Share
    decides_by_step: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentUse:
    """One component. `weight` is None where the run does not say.

    `scored` rollouts have a finite value, `unscored` none (their scorer failed, or did not apply:
    `statuses` counts each), `not_finite` NaN or an infinity; none of them counts as 0. `spread` is
    the mean over groups of the standard deviation inside them (n - 1), `varying` the share of
    groups in which any two values differ, `varied_last` the last step with such a group. `at_best`
    is the share of the scored with its best value seen. Numbers are None without a scored rollout.
    `decisions` is None without a weight, or where no advantage differs from 0.
    """

    name: str
    weight: float | None
    scored: int
    unscored: int
    not_finite: int
    statuses: Mapping[str, int]
    mean: float | None
    low: float | None
    high: float | None
    spread: float | None
    varying: Share
    varied_last: int | None
    at_best: Share
    decisions: Decisions | None
    mean_by_step: Series
    spread_by_step: Series
    at_best_by_step: Series
    unscored_by_step: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentPair:
    """Two components within groups, weighted where weights are known; intervals of 95 %.

    `opposed` is the share of the rollouts in which both deviate whose deviations have opposite
    signs. `within` is None where no group has both varying.
    """

    first: str
    second: str
    within: Correlation | None
    opposed: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUse:
    """The total reward beside the component that says whether an answer is right.

    `declared`: the run names it; else it is the component of the largest weight, or the only one.
    `agrees`: where the outcome deviates from its group's mean, the share of advantages of its sign.
    `elsewhere`: the share of the advantages that are not 0 in groups in which the outcome is the
    same for all, so that other components make them.
    """

    name: str
    declared: bool
    within: Correlation | None
    agrees: Share
    elsewhere: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardUse:
    """The components of a run's rewards. `groups` have two rollouts or more.

    `advantaged` counts the rollouts whose advantage is not 0. `from_advantages`: its sign is that
    of the recorded advantage; else, as in an evaluation, of the reward minus its group's mean.
    `unexplained` is the share of the rollouts with a finite reward that is not the weighted sum of
    their components; None without weights.
    """

    rollouts: int
    groups: int
    steps: tuple[int, ...]
    advantaged: int
    from_advantages: bool
    unexplained: Share | None
    reward_by_step: Series
    components: tuple[ComponentUse, ...]
    pairs: tuple[ComponentPair, ...]
    outcome: OutcomeUse | None


def examine_rewards(
    table: pa.Table,
    weights: Mapping[str, float],
    *,
    outcome: str | None = None,
    statuses: Mapping[str, Mapping[str, int]] | None = None,
) -> RewardUse:
    """The components of a table with REWARD_COLUMNS.

    `weights` are the run's, empty where it does not say; `outcome` is what it declares; `statuses`
    is `scorer_statuses` of the same rollouts.
    """
    columns = Columns(table=table)
    group, step = columns.codes("group_id"), columns.numbers("step").astype(np.int64)
    names = columns.component_names
    known = {name: weights[name] for name in names if np.isfinite(weights.get(name, np.nan))}
    signs = signs_of(columns, group, known)
    sizes = np.bincount(group)
    return RewardUse(
        rollouts=len(columns),
        groups=int((sizes > 1).sum()),
        steps=tuple(np.unique(step).tolist()),
        advantaged=int(signs.moved.sum()),
        from_advantages=signs.recorded,
        unexplained=_unexplained(columns, group, known),
        reward_by_step=tuple(step_means(step, columns.numbers("reward"))),
        components=tuple(
            _component(
                columns,
                name,
                group,
                step,
                signs=signs,
                weight=known.get(name),
                statuses=(statuses or {}).get(name, {}),
            )
            for name in names
        ),
        pairs=_pairs(columns, group, known),
        outcome=_outcome(columns, group, outcome_name(outcome, known, names), outcome, signs),
    )


def _component(
    columns: Columns,
    name: str,
    group: Ints,
    step: Ints,
    *,
    signs: Signs,
    weight: float | None,
    statuses: Mapping[str, int],
) -> ComponentUse:
    values, named = columns.component(name), columns.named(name)
    scored, unscored = np.isfinite(values), columns.unscored(name)
    sound = np.where(scored, values, np.nan)
    gain = -sound if weight is not None and weight < 0 else sound
    best = scored & (gain >= np.nanmax(gain) - FLAT_SPREAD) if scored.any() else scored
    spread = spreads(sound, group)
    paired = np.isfinite(spread)
    step_of = _step_of_groups(group, step)
    varies = paired & (spread > FLAT_SPREAD)
    everywhere = np.arange(len(spread))
    finite = values[scored]
    return ComponentUse(
        name=name,
        weight=weight,
        scored=int(scored.sum()),
        unscored=int(unscored.sum()),
        not_finite=int((named & ~scored & ~unscored).sum()),
        statuses=statuses,
        mean=float(finite.mean()) if len(finite) else None,
        low=float(finite.min()) if len(finite) else None,
        high=float(finite.max()) if len(finite) else None,
        spread=float(spread[paired].mean()) if paired.any() else None,
        varying=share_of(varies, paired, everywhere),
        varied_last=int(step_of[varies].max()) if varies.any() else None,
        at_best=share_of(best, scored, group),
        decisions=None if weight is None else _decisions(name, signs, group, step),
        mean_by_step=tuple(step_means(step, sound)),
        spread_by_step=tuple(step_means(step_of, spread)),
        at_best_by_step=tuple(step_means(step, best, scored)),
        unscored_by_step=tuple(step_means(step, unscored, named)),
    )


def _decisions(name: str, signs: Signs, group: Ints, step: Ints) -> Decisions | None:
    if not signs.moved.any():
        return None
    part = part_of(signs, name)
    return Decisions(
        decides=share_of(part.decides, signs.moved, group),
        follows=share_of(part.follows, part.deviates, group),
        flips=share_of(part.flips, part.explained, group),
        vanishes=share_of(part.vanishes, part.explained, group),
        decides_by_step=tuple(step_means(step, part.decides, signs.moved)),
    )


def _pairs(
    columns: Columns, group: Ints, weights: Mapping[str, float]
) -> tuple[ComponentPair, ...]:
    moved = weighted_deviations(columns, group, weights)
    return tuple(
        ComponentPair(
            first=first,
            second=second,
            within=correlation(moved[first], moved[second], group, z=Z_95),
            opposed=share_of(*opposed(moved[first], moved[second]), group),
        )
        for first, second in combinations(moved, 2)
    )


def _outcome(
    columns: Columns, group: Ints, name: str | None, declared: str | None, signs: Signs
) -> OutcomeUse | None:
    if name is None:
        return None
    deviation = deviations(columns.component(name), group)
    reward = deviations(columns.numbers("reward"), group)
    beside = beside_outcome(deviation, group, signs)
    return OutcomeUse(
        name=name,
        declared=name == declared,
        within=correlation(reward, deviation, group, z=Z_95),
        agrees=share_of(*beside.agrees, group),
        elsewhere=share_of(*beside.elsewhere, group),
    )


def _unexplained(columns: Columns, group: Ints, weights: Mapping[str, float]) -> Share | None:
    if not weights:
        return None
    parts = [weight * np.nan_to_num(columns.component(name)) for name, weight in weights.items()]
    reward = columns.numbers("reward")
    total = np.sum(parts, axis=0)
    slack = 10 * FLAT_SPREAD * np.maximum(1.0, np.abs(total))
    known = np.isfinite(reward)
    return share_of(known & (np.abs(reward - total) > slack), known, group)


def _step_of_groups(group: Ints, step: Ints) -> Ints:
    """The step of each group's last rollout. Shape (groups,)."""
    found = np.zeros(_count(group), dtype=np.int64)
    found[group] = step
    return found


def _count(group: Ints) -> int:
    return int(group.max()) + 1 if len(group) else 0
