"""Reading recorded runs."""

from rlvr.runs.compact import (
    CompactPlan,
    CompactReport,
    carry_out_compacting,
    plan_compacting,
)
from rlvr.runs.locate import find_runs, open_run, run_folders
from rlvr.runs.prune import PrunePlan, PruneRequest, Removal, carry_out, plan_pruning
from rlvr.runs.pruned import Pruning
from rlvr.runs.run import Run
from rlvr.runs.status import MirrorStatus, RankStatus, RunStatus

__all__ = [
    "CompactPlan",
    "CompactReport",
    "MirrorStatus",
    "PrunePlan",
    "PruneRequest",
    "Pruning",
    "RankStatus",
    "Removal",
    "Run",
    "RunStatus",
    "carry_out",
    "carry_out_compacting",
    "find_runs",
    "open_run",
    "plan_compacting",
    "plan_pruning",
    "run_folders",
]
