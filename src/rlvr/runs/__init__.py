"""Reading recorded runs."""

from rlvr.runs.locate import find_runs, open_run
from rlvr.runs.run import Run
from rlvr.runs.status import RankStatus, RunStatus

__all__ = ["RankStatus", "Run", "RunStatus", "find_runs", "open_run"]
