"""The advantage of GRPO, recomputed from the rewards of a group."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

EPSILON = 1e-4
"""Added to the standard deviation, by verifiers and by TRL alike."""

# Trainers compute in float32: an advantage of 1 comes back within 1e-3 even where the rewards of a
# group differ by little.
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageArithmetic:
    """How an advantage follows from its group, and whether the recorded one does.

    `std` has the denominator n - 1. `scaled` says whether the difference was divided by
    `std + EPSILON`; `assumed` that the run did not record it and that the variant which fits was
    taken. `recomputed` is None, and `obstacle` says why, where it can't be computed. `agrees` is
    None where one of the two numbers is missing.
    """

    reward: float | None
    rewards: tuple[float | None, ...]
    recorded: float | None
    mean: float | None = None
    std: float | None = None
    scaled: bool | None = None
    assumed: bool = False
    recomputed: float | None = None
    agrees: bool | None = None
    obstacle: str | None = None

    @property
    def flat(self) -> bool:
        """Whether all rewards are equal, so that no rollout of the group moves the policy."""
        return len(self.rewards) > 1 and len(set(self.rewards)) == 1


def advantage_arithmetic(
    *,
    reward: float | None,
    rewards: Sequence[float | None],
    recorded: float | None,
    scale_rewards: bool | None,
    group_size: int | None = None,
) -> AdvantageArithmetic:
    """`(reward - mean) / (std + 1e-4)` over the group's rewards, or `reward - mean` unscaled."""
    found = _obstacle(reward, rewards, group_size)
    known = tuple(value for value in rewards if value is not None)
    if found is not None or reward is None:
        return AdvantageArithmetic(
            reward=reward, rewards=tuple(rewards), recorded=recorded, obstacle=found
        )
    mean = math.fsum(known) / len(known)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
    candidates = {True: (reward - mean) / (std + EPSILON), False: reward - mean}
    scaled = scale_rewards if scale_rewards is not None else _fitting(candidates, recorded)
    recomputed = candidates[scaled]
    return AdvantageArithmetic(
        reward=reward,
        rewards=tuple(rewards),
        recorded=recorded,
        mean=mean,
        std=std,
        scaled=scaled,
        assumed=scale_rewards is None,
        recomputed=recomputed,
        agrees=None if recorded is None else _close(recomputed, recorded),
    )


def _obstacle(
    reward: float | None, rewards: Sequence[float | None], group_size: int | None
) -> str | None:
    if reward is None:
        return "its reward was not recorded"
    if group_size is not None and len(rewards) < group_size:
        return f"only {len(rewards)} of the group's {group_size} rollouts are recorded"
    if any(value is None or not math.isfinite(value) for value in rewards):
        return "a reward of the group is missing, NaN or infinite"
    if len(rewards) < 2:
        return "a group of one has no standard deviation"
    return None


def _fitting(candidates: dict[bool, float], recorded: float | None) -> bool:
    if recorded is None:
        return True
    return _close(candidates[True], recorded) or not _close(candidates[False], recorded)


def _close(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
