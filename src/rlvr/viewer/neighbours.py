"""What stands beside a trajectory: its siblings, and the steps before and after."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.record import Trajectory
from rlvr.runs import Run

MOST_SIBLINGS = 64
"""Siblings that a strip shows: those around the trajectory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """A rollout of the same prompt in the same batch."""

    id: str
    sample: int
    reward: float | None
    advantage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A trajectory of another step, of the same example if that step has it."""

    step: int
    id: str
    group_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What stands in the nearest steps; None at the ends of the run."""

    before: Elsewhere | None
    after: Elsewhere | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The group of a trajectory by sample, itself at place `own`, and the steps beside its own."""

    group: tuple[Sibling, ...]
    own: int
    steps: Steps

    @property
    def previous(self) -> Sibling | None:
        """The sibling before it."""
        return self.group[self.own - 1] if self.own > 0 else None

    @property
    def next(self) -> Sibling | None:
        """The sibling after it."""
        return self.group[self.own + 1] if self.own + 1 < len(self.group) else None

    @property
    def contrasting(self) -> Sibling | None:
        """The sibling whose reward is the furthest from its own; of equal ones the next."""
        others = [*self.group[self.own + 1 :], *self.group[: self.own]]
        own = _finite(self.group[self.own].reward) if self.group else None

        def apart(one: Sibling) -> float:
            reward = _finite(one.reward)
            return -1.0 if own is None or reward is None else abs(reward - own)

        return max(others, key=apart, default=None)

    @property
    def near(self) -> tuple[Sibling, ...]:
        """Itself and the siblings around it, as many as a strip shows."""
        first = max(0, min(self.own - MOST_SIBLINGS // 2, len(self.group) - MOST_SIBLINGS))
        return self.group[first : first + MOST_SIBLINGS]


def neighbours_of(run: Run, trajectory: Trajectory) -> Neighbours:
    """Its group in its own attempt, and the steps beside its own in the same mode."""
    group = _group(run, trajectory)
    own = next((at for at, one in enumerate(group) if one.id == trajectory.id), 0)
    return Neighbours(group=group, own=own, steps=steps_beside(run, trajectory))


def steps_beside(run: Run, trajectory: Trajectory) -> Steps:
    """The steps beside its own in the same mode."""
    steps = run.steps(trajectory.mode)
    before = [step for step in steps if step < trajectory.step]
    after = [step for step in steps if step > trajectory.step]
    return Steps(before=_first(run, trajectory, before[::-1]), after=_first(run, trajectory, after))


def _finite(reward: float | None) -> float | None:
    return reward if reward is not None and math.isfinite(reward) else None


def _group(run: Run, trajectory: Trajectory) -> tuple[Sibling, ...]:
    table = run.to_arrow(
        ["id", "sample", "reward", "advantage", "attempt", "batch"],
        mode=trajectory.mode,
        step=trajectory.step,
        group=trajectory.group_id,
        superseded=True,
    )
    rows = [
        row
        for row in table.to_pylist()
        if row["attempt"] == trajectory.attempt and row["batch"] == trajectory.batch
    ]
    rows.sort(key=lambda row: (row["sample"], row["id"]))
    return tuple(
        Sibling(
            id=row["id"], sample=row["sample"], reward=row["reward"], advantage=row["advantage"]
        )
        for row in rows
    )


def _first(run: Run, trajectory: Trajectory, steps: Sequence[int]) -> Elsewhere | None:
    """A trajectory of the nearest of these steps: of the same example, or else the first."""
    if not steps:
        return None
    columns = ["id", "example_id", "group_id"]
    rows = run.to_arrow(columns, mode=trajectory.mode, step=steps[0]).to_pylist()
    if not rows:
        return None
    alike = (row for row in rows if row["example_id"] == trajectory.example_id)
    found = next(alike, rows[0])
    return Elsewhere(step=steps[0], id=found["id"], group_id=found["group_id"])
