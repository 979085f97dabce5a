"""pass@k: how often an example is solved by one of k rollouts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.analysis.statistics import Z_95, wilson

PASS_COLUMNS = ("group_id", "rewards")
"""The columns that `pass_rates` asks for."""
FULL = 1.0 - 1e-9
"""The value of a component from which on an answer is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassAt:
    """pass@k over `examples` examples, with its interval of 95 %; NaN without an example."""

    k: int
    value: float
    low: float
    high: float
    examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRates:
    """How often rollouts are right, by the component that says so.

    `rollouts` were made, `scored` of them got a value, and `passed` the full one. Rollouts that
    nobody could score are left out of the rates; `least` and `most` are what pass@1 would be if all
    of them were wrong, or right.
    """

    component: str
    rollouts: int
    scored: int
    passed: int
    rates: tuple[PassAt, ...]
    least: float
    most: float

    @property
    def pass_at_1(self) -> PassAt:
        """The first of the rates."""
        return self.rates[0]


def pass_rates(table: pa.Table, component: str) -> PassRates:
    """Rates of a table with PASS_COLUMNS, in which each group holds the rollouts of one example."""
    found = pc.map_lookup(table["rewards"], pa.scalar(component), "first")
    values: npt.NDArray[np.float64] = found.cast(pa.float64()).to_numpy()  # null becomes NaN
    scored = np.isfinite(values)
    passed = scored & (values >= FULL)
    names = table["group_id"].combine_chunks().dictionary_encode()
    groups: npt.NDArray[np.int64] = names.indices.to_numpy()
    count = len(names.dictionary)
    tried = np.bincount(groups, weights=scored, minlength=count).astype(np.int64)
    solved = np.bincount(groups, weights=passed, minlength=count).astype(np.int64)
    largest = int(np.bincount(groups, minlength=count).max(initial=0))
    rollouts, hits = len(scored), int(passed.sum())
    missing = int((~scored).sum())
    return PassRates(
        component=component,
        rollouts=rollouts,
        scored=int(scored.sum()),
        passed=hits,
        rates=tuple(_pass_at(k, tried, solved) for k in _shown(largest)),
        least=hits / rollouts if rollouts else math.nan,
        most=(hits + missing) / rollouts if rollouts else math.nan,
    )


def pass_at_k(tried: int, solved: int, k: int) -> float:
    """Chance that k of `tried` rollouts, drawn without putting back, hold one of the `solved`.

    The unbiased estimate of M. Chen et al., 2021 (arXiv 2107.03374), equation 1; needs k <= tried.
    """
    if tried - solved < k:
        return 1.0
    return 1.0 - math.prod((tried - solved - i) / (tried - i) for i in range(k))


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of independent values between 0 and 1, and its interval of 95 %.

    Wilson's (E. B. Wilson, 1927) for as many yes-or-no trials as would give the same standard
    error, m (1 - m) / SE²; where all values are equal, for as many as there are values. With the
    mean of each example as values, rollouts of one example count as clustered (E. Miller, 2024,
    arXiv 2411.00640). NaN without a value.
    """
    count = len(values)
    if not count:
        return math.nan, math.nan, math.nan
    mean = min(max(math.fsum(values) / count, 0.0), 1.0)
    variance = math.fsum((value - mean) ** 2 for value in values) / max(count - 1, 1)
    trials = mean * (1.0 - mean) * count / variance if variance > 0 else float(count)
    low, high = wilson(mean, trials, z=Z_95)
    return mean, low, high


def _pass_at(k: int, tried: npt.NDArray[np.int64], solved: npt.NDArray[np.int64]) -> PassAt:
    """Over the examples of which at least k rollouts were scored."""
    enough = tried >= k
    pairs = zip(tried[enough].tolist(), solved[enough].tolist(), strict=True)
    values = [pass_at_k(n, c, k) for n, c in pairs]
    mean, low, high = mean_interval(values)
    return PassAt(k=k, value=mean, low=low, high=high, examples=len(values))


def _shown(largest: int) -> list[int]:
    """1, 2, 4, ... below the rollouts of an example, and their number; 1 always."""
    powers = [1 << place for place in range(largest.bit_length()) if 1 << place < largest]
    return [*powers, largest] if largest else [1]
