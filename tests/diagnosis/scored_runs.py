"""Runs of which a test says each reward, answer and prompt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from builders import run_info, trajectory
from rlvr.codec import to_table
from rlvr.diagnosis import Finding, Healthy, Rollouts, RunEvidence, Unknown
from rlvr.record import Component, Message, ScoreStatus, Trajectory

REFERENCE = "Orl"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a rollout stands; `n` counts all of them."""

    step: int
    group: int
    sample: int
    n: int


Values = Callable[[Place], Mapping[str, float | None]]


def rollouts(
    values: Values,
    *,
    groups: int = 160,
    size: int = 4,
    per_batch: int = 8,
    says: Callable[[Place], str] = lambda _: f"<answer>{REFERENCE}</answer>",
    prompt: Callable[[Place], str] = lambda place: f"Question {place.group}?",
    weights: Mapping[str, float] | None = None,
) -> list[Trajectory]:
    """`groups` groups of `size`, `per_batch` of them a step. None is a scorer that raised."""
    found = []
    for group in range(groups):
        step = group // per_batch
        members = []
        for sample in range(size):
            place = Place(step=step, group=group, sample=sample, n=group * size + sample)
            scored = values(place)
            components = tuple(
                Component(
                    name=name,
                    value=value,
                    weight=1.0,
                    status=ScoreStatus.ERROR if value is None else ScoreStatus.OK,
                    error="ValueError: signal only works in main thread" if value is None else None,
                )
                for name, value in scored.items()
            )
            total = sum(
                (value or 0.0) * (weights or {}).get(name, 1.0) for name, value in scored.items()
            )
            members.append(
                trajectory(
                    id=f"t{place.n:06d}",
                    step=step,
                    batch=step,
                    group_id=f"g{group:05d}",
                    sample=sample,
                    example_id=prompt(place),
                    answer=REFERENCE,
                    prompt=(Message(role="user", content=prompt(place)),),
                    completion=(Message(role="assistant", content=says(place)),),
                    components=components,
                    reward=total,
                )
            )
        found += advantages(members)
    return found


def advantages(members: list[Trajectory]) -> list[Trajectory]:
    """GRPO's, for groups of any size."""
    rewards = np.array([member.reward for member in members])
    centred = rewards - rewards.mean()
    std = rewards.std(ddof=1) if len(members) > 1 else 0.0
    scaled = centred / (std + 1e-4)
    return [replace(m, advantage=float(a)) for m, a in zip(members, scaled, strict=True)]


def evidence(
    trajectories: list[Trajectory], weights: Mapping[str, float] | None = None, **changes
) -> RunEvidence:
    """The evidence of a run, its first rollouts and its last with contents."""
    names = {c.name for t in trajectories for c in t.components}
    given = {
        "run": "r",
        "rollouts": Rollouts(table=to_table(trajectories)),
        "info": run_info(components=dict.fromkeys(names, 1.0) if weights is None else weights),
        "contents": tuple(trajectories[:100] + trajectories[100:][-100:]),
    }
    return RunEvidence(**(given | changes))


def only(outcomes, code: str) -> Finding | Healthy | Unknown:
    """The one outcome of a code."""
    (outcome,) = [outcome for outcome in outcomes if outcome.code == code]
    return outcome


def numbers(outcome) -> dict[str, float]:
    """The numbers of an outcome by name."""
    return {number.name: number.value for number in outcome.numbers}
