"""A run that is being written, read as it grows: the columns of each step once."""

import pyarrow as pa
import pyarrow.compute as pc

from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.loading import load_evidence
from rlvr.diagnosis.rollouts import ROLLOUT_COLUMNS
from rlvr.record import Mode
from rlvr.runs import Run

TAIL = 3
"""Steps that are read again at each look: other processes, and annotations of their forwards, may
come after the first file of a step."""


class FollowedRun:
    """The evidence of a run, brought up to date by reading what is new.

    Columns are read once but for the last TAIL steps; messages and token details are those of at
    most eight steps, as in every diagnosis. After a restart of the training, which may undo steps,
    everything is read anew. Memory is that of the columns.
    """

    def __init__(self, run: Run, *, since: int | None = None) -> None:
        self._run = run
        self._since = since
        self._seen: tuple[int, tuple[int, ...], int] | None = None
        self._kept: pa.Table | None = None
        self.rows_read = 0

    def look(self) -> RunEvidence | None:
        """The evidence of the run as it is now; None where no rollout came since the last look."""
        since = self._since
        steps = tuple(s for s in self._run.steps(Mode.TRAIN) if since is None or s >= since)
        attempts, recorded = len(self._run.attempts), self._run.status().recorded
        now = (attempts, steps, recorded)
        if not steps or now == self._seen:
            return None
        grown = self._seen is not None and self._seen[0] == attempts
        self._seen = now
        return load_evidence(self._run, since=since, read=self._table(steps, grown=grown))

    def _table(self, steps: tuple[int, ...], *, grown: bool) -> pa.Table:
        kept = self._kept if grown else None
        first = steps[0]
        if kept is not None and kept.num_rows:
            first = pc.max(kept["step"]).as_py() + 1
        fresh = self._run.to_arrow(
            ROLLOUT_COLUMNS, mode=Mode.TRAIN, step=range(first, steps[-1] + 1)
        )
        self.rows_read += fresh.num_rows
        whole = fresh if kept is None else pa.concat_tables([kept, fresh])
        settled = steps[-TAIL - 1] if len(steps) > TAIL else first - 1
        self._kept = whole.filter(pc.less_equal(whole["step"], pa.scalar(settled)))
        return whole
