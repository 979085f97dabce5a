"""Whether a mean moved between the first third of a run and its last steps."""

import math
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import ENOUGH_CLUSTERS, Z
from rlvr.diagnosis.rollouts import Rollouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The mean `early`, that of `now`, and the interval of 99 % of their difference."""

    early: float
    now: float
    low: float
    high: float

    @property
    def rises(self) -> bool:
        """Whether it is proven to rise."""
        return self.low > 0

    @property
    def falls(self) -> bool:
        """Whether it is proven to fall."""
        return self.high < 0

    @property
    def size(self) -> float:
        """How far it moved."""
        return self.now - self.early


def change(rollouts: Rollouts, values: Floats) -> Change | None:
    """The change of the finite values' mean, over groups as independent units (B. L. Welch, 1947).

    None where the first third or the last steps have fewer than twenty groups, or where the values
    are too large to compute with.
    """
    return change_between(rollouts, values, rollouts.early, rollouts.recent)


def change_between(rollouts: Rollouts, values: Floats, first: Mask, second: Mask) -> Change | None:
    """The same between two parts of a run: `early` is then that of the first of them."""
    early, now = (_means(rollouts, values, where) for where in (first, second))
    if min(len(early), len(now)) < ENOUGH_CLUSTERS:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        moved = float(now.mean() - early.mean())
        variance = float(early.var(ddof=1) / len(early) + now.var(ddof=1) / len(now))
    if not math.isfinite(moved + variance):
        return None
    margin = Z * math.sqrt(variance)
    return Change(
        early=float(early.mean()), now=float(now.mean()), low=moved - margin, high=moved + margin
    )


def _means(rollouts: Rollouts, values: Floats, where: Mask) -> Floats:
    """The mean of each group there that has a finite value."""
    used = where & np.isfinite(values)
    counts = np.bincount(rollouts.group[used])
    totals = np.bincount(rollouts.group[used], weights=values[used])
    return np.asarray(totals[counts > 0] / counts[counts > 0], dtype=np.float64)
