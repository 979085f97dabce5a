"""The total reward, recomputed from its components."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rlvr.record import Component, Trajectory

# A total that went through float32 comes back within this, relative to 1.
_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardArithmetic:
    """The sum of value x weight, and whether the recorded total is that sum.

    `contributions` has one entry for each component, None where value or weight is unknown.
    `agrees` is None where the total was not recorded or no component has a weight.
    """

    components: tuple[Component, ...]
    weights: tuple[float | None, ...]
    contributions: tuple[float | None, ...]
    total: float | None
    recorded: float | None
    agrees: bool | None

    @property
    def difference(self) -> float | None:
        """Recorded total minus the sum of the contributions."""
        if self.recorded is None or self.total is None:
            return None
        return self.recorded - self.total


def reward_arithmetic(
    trajectory: Trajectory, weights: Mapping[str, float] | None = None
) -> RewardArithmetic:
    """Value x weight of each component. `weights` is the run's, for those without one of their own.

    A component whose scorer failed contributes nothing to the sum; that the trainer may have
    counted it as 0 is for the reader to see.
    """
    used = tuple(
        component.weight if component.weight is not None else (weights or {}).get(component.name)
        for component in trajectory.components
    )
    contributions = tuple(
        None if component.value is None or weight is None else component.value * weight
        for component, weight in zip(trajectory.components, used, strict=True)
    )
    known = [value for value in contributions if value is not None]
    total = sum(known) if known else None
    agrees = None
    if total is not None and trajectory.reward is not None:
        agrees = _same(total, trajectory.reward)
    return RewardArithmetic(
        components=trajectory.components,
        weights=used,
        contributions=contributions,
        total=total,
        recorded=trajectory.reward,
        agrees=agrees,
    )


def _same(total: float, recorded: float) -> bool:
    if math.isnan(total) or math.isnan(recorded):
        return math.isnan(total) and math.isnan(recorded)
    return math.isclose(total, recorded, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
