"""A run on one page."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rlvr.analysis.evidence import EVIDENCE_COLUMNS, EvidenceSummary, summarise_evidence
from rlvr.analysis.steps import STEP_COLUMNS, StepRow, by_step

SUMMARY_COLUMNS = tuple(
    dict.fromkeys(
        ("id", *STEP_COLUMNS, "stop_reason", "derived_unparsed_call", *EVIDENCE_COLUMNS),
    )
)
"""The columns that `summarise` asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReason:
    """How often episodes of one mode stopped for a reason (None: not recorded), and
    their mean reward.
    """

    mode: str
    reason: str | None
    trajectories: int
    reward_mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What one page says of a run.

    `best` and `worst` are ids at the last training step (or the last step, without training);
    None where no reward was recorded. `unparsed_calls` counts trajectories with a tool call that
    stayed text. `evidence` is over training.
    """

    trajectories: int
    steps: tuple[StepRow, ...]
    stop_reasons: tuple[StopReason, ...]
    evidence: EvidenceSummary
    unparsed_calls: int
    best: str | None = None
    worst: str | None = None

    @property
    def modes(self) -> tuple[str, ...]:
        """Modes that have trajectories, training first."""
        return tuple(dict.fromkeys(row.mode for row in self.steps))

    @property
    def components(self) -> tuple[str, ...]:
        """Names of all components, in order of their first appearance."""
        return tuple(dict.fromkeys(name for row in self.steps for name in row.components))

    def rows(self, mode: str) -> tuple[StepRow, ...]:
        """The steps of one mode."""
        return tuple(row for row in self.steps if row.mode == mode)


def summarise(table: pa.Table) -> RunSummary:
    """The summary of a table with SUMMARY_COLUMNS, one row a trajectory."""
    steps = by_step(table)
    worst, best = _extremes(table, steps)
    return RunSummary(
        trajectories=table.num_rows,
        steps=steps,
        stop_reasons=_stop_reasons(table),
        evidence=summarise_evidence(table.filter(pc.field("mode") == "train")),
        unparsed_calls=pc.sum(pc.cast(table["derived_unparsed_call"], pa.int64())).as_py() or 0,
        best=best,
        worst=worst,
    )


def _stop_reasons(table: pa.Table) -> tuple[StopReason, ...]:
    grouped = table.group_by(["mode", "stop_reason"]).aggregate(
        [("mode", "count"), ("reward", "mean")]
    )
    rows: list[dict[str, Any]] = grouped.to_pylist()
    order = Counter({(row["mode"], row["stop_reason"]): row["mode_count"] for row in rows})
    reasons = [
        StopReason(
            mode=row["mode"],
            reason=row["stop_reason"],
            trajectories=row["mode_count"],
            reward_mean=row["reward_mean"],
        )
        for row in rows
    ]
    return tuple(
        sorted(reasons, key=lambda at: (at.mode != "train", at.mode, -order[at.mode, at.reason]))
    )


def _extremes(table: pa.Table, steps: tuple[StepRow, ...]) -> tuple[str | None, str | None]:
    """Ids of the lowest and the highest reward of the last step of the first mode."""
    if not steps:
        return None, None
    mode = steps[0].mode
    last = max(row.step for row in steps if row.mode == mode)
    of_step = table.filter((pc.field("mode") == mode) & (pc.field("step") == last))
    scored = of_step.filter(pc.is_finite(of_step["reward"]))
    if not scored.num_rows:
        return None, None
    ids = scored.take(pc.sort_indices(scored, [("reward", "ascending")]))["id"]
    return ids[0].as_py(), ids[-1].as_py()
