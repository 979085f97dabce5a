"""The account's sums over the examples as recorded, and over resamples of them."""

from collections.abc import Sequence

import numpy as np

from rlvr.analysis.columns import Floats, Ints

RESAMPLES = 1_000
"""So many that the 5 below a 99 % interval are there to be counted."""

BLOCKS = 2_000
"""Examples beyond so many are resampled in as many random blocks: the random groups of K. Wolter,
Introduction to Variance Estimation, 2007. The interval's width is then known to 2 %."""

ENOUGH = 10
"""With fewer examples on a side a bootstrap's intervals are too narrow to prove anything."""

_SEED = 20240


def blocks_of(clusters: Ints, count: int) -> tuple[Ints, int]:
    """The block of each rollout's example, and how many blocks there are."""
    if count <= BLOCKS:
        return clusters, count
    places = np.random.default_rng(_SEED).permutation(count) % BLOCKS
    return places[clusters].astype(np.int64), BLOCKS


def by_block(block: Ints, blocks: int, columns: Sequence[Floats]) -> Floats:
    """Sums of each column over each block. Shape (blocks, columns)."""
    return np.stack(
        [np.bincount(block, weights=column, minlength=blocks) for column in columns], axis=1
    ).astype(np.float64)


def draws(blocks: int) -> Floats:
    """How often each block is drawn: first once each, then in every resample. Shape
    (1 + RESAMPLES, blocks); the same for the same number of blocks."""
    drawn = np.random.default_rng(_SEED).multinomial(
        blocks, np.full(blocks, 1.0 / blocks), size=RESAMPLES
    )
    return np.concatenate([np.ones((1, blocks)), drawn.astype(np.float64)])


def bounds(resampled: Floats, level: float) -> tuple[float, float]:
    """The percentile interval of a quantity, shape (RESAMPLES,); NaN where too few are finite."""
    finite = resampled[np.isfinite(resampled)]
    if len(finite) < RESAMPLES // 2:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
