"""The thread that compacts a run's small files while it is recorded, fenced."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rlvr.recorder.background import step_back
from rlvr.recorder.fence import Fence
from rlvr.store import TRAJECTORIES_FOLDER, LimitedStore, Shelf
from rlvr.store.compact import DEFAULT_LIMITS, Limits
from rlvr.store.compacting import compact
from rlvr.store.sweep import GRACE_S, sweep

LEAST_FILES = 64
"""A run that ends with fewer small files than this stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How large compacted files get, and how often it is looked whether one would be full."""

    limits: Limits = DEFAULT_LIMITS
    every_s: float = 15.0
    grace_s: float = GRACE_S

    @classmethod
    def of(cls, store: Shelf) -> "Pace":
        """What suits a store: below a size limit little may lie there twice, and not for long."""
        if not isinstance(store, LimitedStore):
            return cls()
        most = min(DEFAULT_LIMITS.bytes, store.compacted_bytes)
        return cls(limits=replace(DEFAULT_LIMITS, bytes=most), grace_s=0.0)


class Compactor:
    """A daemon thread of low priority that training never waits for.

    While the run is recorded it writes files that are full; `finish` lets it take the rest. What
    fails is logged once an outage, and the small files stay.
    """

    def __init__(self, shelf: Shelf, attempt: int, pace: Pace) -> None:
        self._shelf = shelf
        self._attempt = attempt
        self._pace = pace
        self._stop = threading.Event()
        self._unswept = 1  # an earlier attempt may have left something
        self.fence = Fence("Compacting the recording")
        self._thread = threading.Thread(target=self._run, name="rlvr-compactor", daemon=True)

    def start(self) -> None:
        """Begin to look after the files."""
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Compact what the run has left, and return; at most after `timeout_s`."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        step_back()
        while not self._stop.wait(self._pace.every_s):
            self._fenced(self._during)
        self._fenced(self._after)

    def _fenced(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  the fence: training must not notice
            self.fence.failed(error, "The small files stay.")

    def _during(self) -> None:
        files, size = _alone(self._shelf.folder)
        if files > self._pace.limits.files or size > self._pace.limits.bytes:
            self._write(live=self._attempt, full_only=True, stop=self._stop.is_set)
        if self._unswept:
            self._unswept = sweep(self._shelf, grace_s=self._pace.grace_s).waiting

    def _after(self) -> None:
        if _alone(self._shelf.folder)[0] >= LEAST_FILES:
            self._write(live=None, full_only=False, stop=lambda: False)
        if self._unswept:
            sweep(self._shelf, grace_s=0.0)

    def _write(self, *, live: int | None, full_only: bool, stop: Callable[[], bool]) -> None:
        limits = self._pace.limits
        for _ in compact(self._shelf, limits=limits, live=live, full_only=full_only, stop=stop):
            self._unswept += 1
            self.fence.worked()


def _alone(folder: Path) -> tuple[int, int]:
    """How many small files there are, and their bytes."""
    try:
        with os.scandir(folder / TRAJECTORIES_FOLDER) as entries:
            sizes = [entry.stat().st_size for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return 0, 0
    return len(sizes), sum(sizes)
