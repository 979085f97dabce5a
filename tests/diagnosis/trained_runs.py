"""Runs of which a test says what became of some rollouts on their way to the gradient."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from builders import run_info, trajectory, with_advantages
from rlvr.codec import to_table
from rlvr.diagnosis import Rollouts, RunEvidence
from rlvr.record import Trajectory

Change = Callable[[Trajectory], Trajectory]

STEPS, GROUPS, SIZE = 6, 6, 4


def rollouts(
    change: Change = lambda rollout: rollout,
    *,
    share: float = 1.0,
    steps: int = STEPS,
    groups: int = GROUPS,
    size: int = SIZE,
    rewards: Sequence[float] = (1.0, 0.0),
) -> list[Trajectory]:
    """Sound rollouts whose rewards take turns within a group; `share` of them are changed.

    The changed ones are spread evenly over groups and steps.
    """
    found: list[Trajectory] = []
    for step in range(steps):
        for group in range(groups):
            members = [
                trajectory(
                    id=f"s{step:03d}-g{group:02d}-{sample}",
                    step=step,
                    batch=step,
                    group_id=f"s{step}-g{group}",
                    sample=sample,
                    reward=rewards[sample % len(rewards)],
                    components=(),
                    turns=tuple(replace(t, policy_version=step) for t in trajectory().turns),
                )
                for sample in range(size)
            ]
            found += with_advantages(members)
    return [
        change(rollout) if int((n + 1) * share) > int(n * share) else rollout
        for n, rollout in enumerate(found)
    ]


def evidence(of: Sequence[Trajectory], **changes) -> RunEvidence:
    """What a diagnosis sees of them; `changes` are those of the evidence."""
    given = {"run": "r", "rollouts": Rollouts(table=to_table(list(of))), "info": run_info()}
    return RunEvidence(**(given | changes))


def with_evidence(**changes) -> Change:
    """A change of the token evidence."""
    return lambda rollout: replace(rollout, evidence=replace(rollout.evidence, **changes))


def of_version(version: Callable[[int], int | None]) -> Change:
    """Every turn sampled from the version that belongs to its step."""
    return lambda rollout: replace(
        rollout,
        turns=tuple(replace(t, policy_version=version(rollout.step)) for t in rollout.turns),
    )
