"""What each reward component adds to a rollout beside its group, and which one decides."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.statistics import Share, Z
from rlvr.analysis.within import FLAT_SPREAD, deciders, deviations, share_of
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.normalisation import FLAT_ADVANTAGE


def weighted_deviations(evidence: RunEvidence) -> dict[str, Floats]:
    """Weight x (value - mean of its group) of each weighted component that varies in some group.

    0 where a component has no value. Shape (rollouts,) each.
    """
    rollouts = evidence.rollouts
    found = {}
    for name in rollouts.component_names:
        weight = evidence.signal.weights.get(name, 0.0)
        if not weight or not math.isfinite(weight):
            continue
        deviation = deviations(rollouts.component(name), rollouts.group)
        if np.abs(deviation).max(initial=0.0) > FLAT_SPREAD:
            found[name] = weight * deviation
    return found


@dataclass(frozen=True, kw_only=True)
class Deciders:
    """Which component decides the sign of each rollout's advantage.

    It is the one that pulls most in the direction of the sign: of the weighted deviations from the
    group's mean the largest with that sign. `deviations` are those of the components that vary.
    """

    evidence: RunEvidence
    deviations: Mapping[str, Floats]

    @classmethod
    def of(cls, evidence: RunEvidence) -> "Deciders":
        """Those of a run."""
        return cls(evidence=evidence, deviations=weighted_deviations(evidence))

    @cached_property
    def place(self) -> Ints:
        """The place of the decider in `deviations`, -1 where no sign is decided by any.

        Shape (rollouts,).
        """
        advantage = self.evidence.rollouts.numbers("advantage")
        moved = np.isfinite(advantage) & (np.abs(advantage) > FLAT_ADVANTAGE)
        sign = np.where(moved, np.sign(np.nan_to_num(advantage)), 0.0)
        return deciders(sign, tuple(self.deviations.values()))

    @property
    def decided(self) -> Mask:
        """Where some component decides a sign. Shape (rollouts,)."""
        return np.asarray(self.place >= 0)

    def by(self, *names: str) -> Mask:
        """Where one of these components decides. Shape (rollouts,)."""
        places = [at for at, name in enumerate(self.deviations) if name in names]
        return np.isin(self.place, places)

    def share_of(self, *names: str, where: Mask) -> Share:
        """The part of the signs decided there that these components decide, with an interval of
        99 % in which groups are independent."""
        asked = self.decided & where
        return share_of(self.by(*names), asked, self.evidence.rollouts.group, z=Z)

    def shares(self, where: Mask) -> dict[str, float]:
        """The part that each component decides there, the largest first; empty without signs."""
        asked = self.decided & where
        if not asked.any():
            return {}
        found = {name: float(self.by(name)[asked].mean()) for name in self.deviations}
        return dict(sorted(found.items(), key=lambda item: -item[1]))
