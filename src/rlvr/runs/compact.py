"""`rlvr compact`: the small files of a run as few large ones, planned before anything is touched.

Safe on a living run, of this machine or another: see `rlvr.store.layers`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rlvr.runs.prune import find_leftovers
from rlvr.runs.run import Run
from rlvr.store import COMPACTED_FOLDER, TRAJECTORIES_FOLDER, LocalStore
from rlvr.store.compact import DEFAULT_LIMITS, Limits
from rlvr.store.compacting import compact, plan_compactions
from rlvr.store.sweep import GRACE_S, sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How many files hold a run's trajectories, and their bytes."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactPlan:
    """What would be done to a run.

    live: the attempt that may still write, None where the run is over. batches: files that would
    go into `written` new ones. grace_s: how long they stay beside those.
    """

    run: str
    folder: Path
    before: Stored
    live: int | None
    batches: int
    written: int
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactReport:
    """What was done. `kept` are files that stay since they differ from what would hide them."""

    after: Stored
    batches: int
    written: int
    removed: int
    kept: tuple[Path, ...]


def plan_compacting(
    run: Run, *, grace_s: float | None = None, limits: Limits = DEFAULT_LIMITS
) -> CompactPlan:
    """What can be compacted of a run now; touches nothing.

    Without `grace_s` small files stay for a minute where the run lives, and for no time where it is
    over.

    Raises:
        NewerFormat: a newer rlvr wrote one of the files.
    """
    live = _live_attempt(run)
    planned = plan_compactions(run.path, limits, live)
    return CompactPlan(
        run=run.id,
        folder=run.path,
        before=_stored(run.path),
        live=live,
        batches=sum(len(one.sources) for one in planned),
        written=len(planned),
        grace_s=grace_s if grace_s is not None else 0.0 if live is None else GRACE_S,
    )


def carry_out_compacting(
    run: Run,
    plan: CompactPlan,
    *,
    limits: Limits = DEFAULT_LIMITS,
    waiting: Callable[[float], None] = lambda _: None,
) -> CompactReport:
    """Compact a run and remove what that has made needless. `waiting` is told of a wait, in s.

    Raises:
        NewerFormat: a newer rlvr wrote one of the files.
        StoreError: the run can't be written; the small files stay.
    """
    store = LocalStore(plan.folder)
    for path, _ in find_leftovers(run):
        path.unlink(missing_ok=True)
    written = list(compact(store, limits=limits, live=plan.live))
    if written and plan.grace_s:
        waiting(plan.grace_s)
        time.sleep(plan.grace_s)
    swept = sweep(store, grace_s=plan.grace_s)
    return CompactReport(
        after=_stored(plan.folder),
        batches=sum(len(one.sources) for one in written),
        written=len(written),
        removed=swept.files,
        kept=swept.kept,
    )


def _live_attempt(run: Run) -> int | None:
    """The newest attempt, unless all of its processes are known to have ended."""
    newest = run.status().newest
    over = all(rank.closed or rank.alive is False for rank in newest)
    return None if over else newest[0].attempt


def _stored(folder: Path) -> Stored:
    sizes = []
    for part in (TRAJECTORIES_FOLDER, COMPACTED_FOLDER):
        for path in (folder / part).glob("[!.]*.parquet"):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # the run's own compaction took it
                continue
    return Stored(files=len(sizes), bytes=sum(sizes))
