"""What can be said of one rollout, by name, and many rollouts as a matrix."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from rlvr.analysis.columns import Floats

MOST = 160
"""Features that are compared at most: of tools, orders and stop reasons the most common."""


FAMILIES = ("tools", "order", "length", "arguments", "documents", "tags", "errors", "stop")
"""What features are about. Of features that say the same the one of the first family stands."""


class Kind(StrEnum):
    """What the values of a feature are.

    FLAG: 1 or 0. COUNT: whole numbers from 0. NUMBER: any. FRACTION: a part of 1. The first two are
    0 of a rollout that does not say, the last two not known.
    """

    FLAG = "flag"
    COUNT = "count"
    NUMBER = "number"
    FRACTION = "fraction"

    @property
    def absent(self) -> float:
        """The value of a rollout that does not say."""
        return 0.0 if self in (Kind.FLAG, Kind.COUNT) else float("nan")

    @property
    def as_share(self) -> bool:
        """Whether its means are shown as per cent."""
        return self in (Kind.FLAG, Kind.FRACTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A question that every rollout answers with a number; `family` is one of FAMILIES."""

    name: str
    family: str
    kind: Kind

    @property
    def order(self) -> tuple[int, str]:
        """Features are sorted by it."""
        return FAMILIES.index(self.family), self.name


Traits: TypeAlias = Mapping[Feature, float]
"""The features of one rollout. What it does not name has the value `Kind.absent`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTable:
    """Features as columns, rollouts as rows: `values` has the shape (rollouts, features).

    `rare` counts the features that were left out because MOST others are more common.
    """

    features: tuple[Feature, ...]
    values: Floats
    rare: int = 0


def feature_table(rollouts: Sequence[Traits], *, most: int = MOST) -> FeatureTable:
    """The matrix of the rollouts, features in order of their families and names."""
    seen = Counter(feature for one in rollouts for feature in one)
    kept = sorted(seen, key=lambda feature: (-seen[feature], feature.order))[:most]
    kept.sort(key=lambda feature: feature.order)
    places = {feature: at for at, feature in enumerate(kept)}
    values = np.tile([feature.kind.absent for feature in kept], (len(rollouts), 1))
    values = values.reshape(len(rollouts), len(kept)).astype(np.float64)
    for row, one in enumerate(rollouts):
        for feature, value in one.items():
            if feature in places:
                values[row, places[feature]] = value
    return FeatureTable(features=tuple(kept), values=values, rare=len(seen) - len(kept))
