"""How good answers of the diagnosis are: places, delays and rates with their intervals."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.statistics import Z_95, share
from rlvr.diagnosis import Verdict

__all__ = [
    "AMONG",
    "DELAYS",
    "Delay",
    "Ranked",
    "Rate",
    "delay_of",
    "place_of",
    "rank_correlation",
    "rate_of",
]

AMONG = 3
"""A reader looks at so many findings."""
DELAYS = (1, 2, 5, 10, 15, 20)
"""Steps after the onset at which a run is diagnosed."""
_RESAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many of so many, with Wilson's interval of 95 %; NaN where there are none."""

    hits: int
    trials: int
    value: float
    low: float
    high: float

    @property
    def shown(self) -> str:
        """For a table."""
        if not self.trials:
            return "-"
        return f"{self.hits}/{self.trials} ({self.low:.0%} to {self.high:.0%})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """When a fault is first named among the first findings: `steps` after its onset, None if never.

    before: it was named before it was there.
    """

    steps: int | None
    before: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Spearman's rank correlation over `count` pairs, and the bounds of its interval of 95 %."""

    value: float
    low: float
    high: float
    count: int


def rate_of(answers: Iterable[bool]) -> Rate:
    """How many are true."""
    given = list(answers)
    found = share(sum(given), len(given), z=Z_95)
    return Rate(
        hits=sum(given), trials=len(given), value=found.value, low=found.low, high=found.high
    )


def place_of(codes: Sequence[str], accepted: Sequence[str]) -> int | None:
    """The place of the first accepted code among the codes of findings, from 1; None without."""
    return min((codes.index(code) + 1 for code in accepted if code in codes), default=None)


def delay_of(
    verdict_at: Callable[[int], Verdict], accepted: Sequence[str], *, onset: int, last: int
) -> Delay:
    """When a run whose fault begins at `onset` is first diagnosed with it.

    `verdict_at` is the verdict on the steps up to one; `last` is the run's last step. A run is
    diagnosed when 1, 2, 5 ... steps have the fault, and once before.
    """

    def named(step: int) -> bool:
        codes = [finding.code for finding in verdict_at(step).findings]
        place = place_of(codes, accepted)
        return place is not None and place <= AMONG

    before = onset > 0 and named(onset - 1)
    steps = [delay for delay in DELAYS if onset + delay - 1 <= last]
    return Delay(
        steps=next((delay for delay in steps if named(onset + delay - 1)), None), before=before
    )


def rank_correlation(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> Ranked:
    """Spearman's, ties at their mean rank; the interval by resampling pairs. NaN below three."""
    pairs = np.array([first, second], dtype=np.float64).T
    if len(pairs) < 3:
        return Ranked(value=np.nan, low=np.nan, high=np.nan, count=len(pairs))
    draw = np.random.default_rng(seed)
    resampled = [
        _spearman(pairs[draw.integers(0, len(pairs), len(pairs))]) for _ in range(_RESAMPLES)
    ]
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Ranked(value=_spearman(pairs), low=float(low), high=float(high), count=len(pairs))


def median(values: Sequence[int]) -> float:
    """The middle one; NaN without values."""
    return statistics.median(values) if values else float("nan")


def _spearman(pairs: np.ndarray) -> float:
    ranks = np.array([_ranks(column) for column in pairs.T])
    if np.ptp(ranks, axis=1).min() == 0:
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: np.ndarray = (ends - (counts - 1) / 2)[places]
    return ranks
