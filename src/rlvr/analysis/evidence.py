"""What the cheap token evidence of many trajectories says."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

EVIDENCE_COLUMNS = (
    "sampled_tokens",
    "trained_tokens",
    "sampled_untrained_tokens",
    "trained_unsampled_tokens",
    "attended_share",
    "sequences",
    "ids_match",
    "truncated",
    "gap_mean",
    "gap_p99",
    "gap_beyond_1nat",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSummary:
    """Token evidence over trajectories; each number is over those that recorded it.

    Counts are sums. `gap_mean` is the mean over trajectories of the mean |trainer - sampler|
    logprob, `gap_p99` the highest 99th percentile, both in nats. `ids_match`, `truncated` and
    `several_sequences` are shares of trajectories. None: no trajectory recorded it.
    """

    trajectories: int
    with_gap: int
    sampled_tokens: int | None
    trained_tokens: int | None
    sampled_untrained_tokens: int | None
    trained_unsampled_tokens: int | None
    attended_share: float | None
    several_sequences: float | None
    ids_match: float | None
    truncated: float | None
    gap_mean: float | None
    gap_p99: float | None
    gap_beyond_1nat: float | None


def summarise_evidence(table: pa.Table) -> EvidenceSummary:
    """Summary over a table with EVIDENCE_COLUMNS."""
    return EvidenceSummary(
        trajectories=table.num_rows,
        with_gap=table.num_rows - table["gap_mean"].null_count,
        sampled_tokens=_sum(table, "sampled_tokens"),
        trained_tokens=_sum(table, "trained_tokens"),
        sampled_untrained_tokens=_sum(table, "sampled_untrained_tokens"),
        trained_unsampled_tokens=_sum(table, "trained_unsampled_tokens"),
        attended_share=_mean(table["attended_share"]),
        several_sequences=_share_beyond_one(table["sequences"]),
        ids_match=_mean(table["ids_match"].cast(pa.float64())),
        truncated=_mean(table["truncated"].cast(pa.float64())),
        gap_mean=_mean(table["gap_mean"]),
        gap_p99=pc.max(table["gap_p99"]).as_py(),
        gap_beyond_1nat=_mean(table["gap_beyond_1nat"]),
    )


def _sum(table: pa.Table, column: str) -> int | None:
    total: int | None = pc.sum(table[column]).as_py()
    return total


def _mean(column: Any) -> float | None:
    mean: float | None = pc.mean(column).as_py()
    return mean


def _share_beyond_one(counts: Any) -> float | None:
    one: Any = 1
    return _mean(pc.greater(counts, one).cast(pa.float64()))
