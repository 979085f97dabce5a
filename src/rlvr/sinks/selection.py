"""Which trajectories of a step are shown where not all of them can be."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from statistics import pvariance

from rlvr.record import Trajectory

__all__ = ["Pick", "Why", "select"]


class Why(StrEnum):
    """What a trajectory was chosen for."""

    BEST = "best"
    WORST = "worst"
    MEDIAN = "median"
    GROUP = "group"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A chosen trajectory."""

    trajectory: Trajectory
    why: Why


def select(
    trajectories: Iterable[Trajectory], *, samples: int, seed: int, step: int
) -> tuple[Pick, ...]:
    """At most `samples` of the step's trajectories, none twice.

    Best, worst and (lower) median reward first; then the groups, that with the highest variance of
    reward first, each with its rollouts from best to worst; rollouts without a finite reward last.
    Equal rewards are ordered by `seed` and `step`; the order of the argument plays no part.
    """
    shuffled = sorted(trajectories, key=lambda t: (t.batch, t.attempt, t.group_id, t.sample))
    random.Random(f"{seed}/{step}").shuffle(shuffled)
    ranked = sorted(filter(_is_scored, shuffled), key=_reward, reverse=True)
    unscored = [trajectory for trajectory in shuffled if not _is_scored(trajectory)]
    wanted: list[tuple[Why, Trajectory]] = []
    if ranked:
        wanted = [(Why.BEST, ranked[0]), (Why.WORST, ranked[-1])]
        wanted.append((Why.MEDIAN, ranked[len(ranked) // 2]))
    wanted += [(Why.GROUP, trajectory) for trajectory in _by_variance(ranked)]
    wanted += [(Why.REST, trajectory) for trajectory in unscored]
    return _distinct(wanted, samples)


def _is_scored(trajectory: Trajectory) -> bool:
    return trajectory.reward is not None and math.isfinite(trajectory.reward)


def _reward(trajectory: Trajectory) -> float:
    return trajectory.reward if trajectory.reward is not None else math.nan


def _by_variance(ranked: Sequence[Trajectory]) -> list[Trajectory]:
    groups: defaultdict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in ranked:
        groups[trajectory.group_id].append(trajectory)
    ordered = sorted(groups.values(), key=_variance, reverse=True)
    return [trajectory for group in ordered for trajectory in group]


def _variance(group: Sequence[Trajectory]) -> Fraction:
    """Exact, since the square of a large reward overflows a float."""
    return pvariance([Fraction(_reward(trajectory)) for trajectory in group])


def _distinct(wanted: Sequence[tuple[Why, Trajectory]], samples: int) -> tuple[Pick, ...]:
    picks: list[Pick] = []
    taken: set[int] = set()
    for why, trajectory in wanted:
        if len(picks) >= samples:
            break
        if id(trajectory) not in taken:
            taken.add(id(trajectory))
            picks.append(Pick(trajectory=trajectory, why=why))
    return tuple(picks)
