"""Tables of sampled trajectories, one per step, logged by a worker that nobody waits for."""

import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rlvr.errors import ConfigurationError
from rlvr.record import Mode, SinkReport, Trajectory
from rlvr.sinks.history import History
from rlvr.sinks.rows import Cell, TableShape
from rlvr.sinks.selection import select

__all__ = ["TableLog", "TableSink"]

KEYS = {Mode.TRAIN: "full_trajectories", Mode.EVAL: "full_trajectories_eval"}
HISTORY_KEY = "full_trajectories_history"

# Batches of one step are merged; a step of more trajectories than this becomes several tables.
_MAX_PENDING = 4096
_MAX_FAILURES = 3

_logger = logging.getLogger(__name__)


class TableLog(Protocol):
    """Where tables go."""

    def unavailable(self) -> str | None:
        """Why nothing can be logged now, and what to do; None where it can."""
        ...

    def log(
        self,
        key: str,
        *,
        columns: Sequence[str],
        types: Sequence[type],
        rows: Sequence[Sequence[Cell]],
        step: int,
    ) -> None:
        """Log one table under `key` at `step`. May raise anything, and may hang."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """A batch in the queue. `rows` is how many rows it would have given by itself."""

    trajectories: tuple[Trajectory, ...]
    rows: int


class TableSink:
    """A sink that shows up to `samples` trajectories of each logged step as a table.

    `offer` hands over to a queue of `queue_batches` batches and returns; what does not fit is
    dropped. A daemon thread chooses, renders and logs. A step's table is logged when a batch of
    another step arrives, when none has arrived for `linger_s`, or at `close`: several batches of
    one step share a table. Training steps are logged where `step % logging_steps == 0`, evaluations
    always. After three failures in a row the sink is off for good. A forked child does nothing.

    The report counts `offered` in trajectories, the others in rows of step tables: those logged,
    those lost to a full queue, a missing run, a sink that is off or a `close` that ran out of
    time, and those of tables that failed.

    Raises ConfigurationError for fewer than 0 samples, or fewer than 1 logging step or batch.
    """

    def __init__(
        self,
        *,
        name: str,
        log: TableLog,
        shape: TableShape,
        samples: int = 5,
        logging_steps: int = 1,
        seed: int = 0,
        queue_batches: int = 8,
        linger_s: float = 30.0,
    ) -> None:
        for option, value, least in (
            ("samples", samples, 0),
            ("logging_steps", logging_steps, 1),
            ("queue_batches", queue_batches, 1),
        ):
            if value < least:
                raise ConfigurationError(
                    f"{name} sink: {option} is {value}, at least {least} needed"
                )
        self.name = name
        self._log = log
        self._shape = shape
        self._samples = samples
        self._logging_steps = logging_steps
        self._seed = seed
        self._linger_s = linger_s
        self._queue: queue.Queue[_Batch | None] = queue.Queue(maxsize=queue_batches)
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._pid = os.getpid()
        self._report = SinkReport(name=name)
        self._waiting_rows = 0
        self._closed = False
        self._is_settled = False
        # Only the worker touches what follows.
        self._pending: list[_Batch] = []
        self._history = History()
        self._last_step = 0
        self._failures = 0
        self._said: str | None = None

    def offer(self, batch: Sequence[Trajectory]) -> None:
        """Take notice of a batch and return at once."""
        if os.getpid() != self._pid:  # the child of a fork has the queue's locks, but no worker
            return
        wanted = tuple(_light(trajectory) for trajectory in batch if self._is_logged(trajectory))
        rows = min(self._samples, len(wanted))
        self._count(offered=len(batch), waiting=rows)
        if rows == 0:
            return
        try:
            if self._closed:
                raise queue.Full
            self._queue.put_nowait(_Batch(trajectories=wanted, rows=rows))
        except queue.Full:
            full = f"the queue of {self._queue.maxsize} batches was full"
            error = f"{self.name} is closed" if self._closed else full
            self._count(dropped=rows, waiting=-rows, error=error)
            return
        self._start()

    def close(self, timeout_s: float) -> SinkReport:
        """Log what waits, for at most `timeout_s`, and say what became of everything offered."""
        if os.getpid() != self._pid:
            return SinkReport(name=self.name)
        deadline = time.monotonic() + timeout_s
        first, self._closed = not self._closed, True
        if first and self._worker is not None:
            self._ask_to_end(timeout_s)
            self._worker.join(max(deadline - time.monotonic(), 0.0))
            if self._worker.is_alive():
                unfinished = f"{self.name} did not finish within {timeout_s:g} s"
                self._count(dropped=self._waiting_rows, error=unfinished, last=True)
        return self._report

    def _ask_to_end(self, timeout_s: float) -> None:
        try:
            self._queue.put(None, timeout=max(timeout_s, 0.0))
        except queue.Full:
            _logger.warning("The queue of the %s sink is still full; its rest is lost.", self.name)

    def _is_logged(self, trajectory: Trajectory) -> bool:
        return trajectory.mode is Mode.EVAL or trajectory.step % self._logging_steps == 0

    def _start(self) -> None:
        with self._lock:
            if self._worker is None:
                self._worker = threading.Thread(
                    target=self._work, name=f"rlvr-{self.name}", daemon=True
                )
                self._worker.start()

    def _count(
        self,
        *,
        offered: int = 0,
        written: int = 0,
        dropped: int = 0,
        failed: int = 0,
        waiting: int = 0,
        error: str | None = None,
        last: bool = False,
    ) -> None:
        """Add to the report. After the `last` entry, what a worker still achieves isn't counted."""
        with self._lock:
            if self._is_settled:
                return
            self._is_settled = last
            old = self._report
            self._report = SinkReport(
                name=old.name,
                offered=old.offered + offered,
                written=old.written + written,
                dropped=old.dropped + dropped,
                failed=old.failed + failed,
                last_error=error or old.last_error,
            )
            self._waiting_rows += waiting

    # The worker.

    def _work(self) -> None:
        while True:
            try:
                batch = self._queue.get(timeout=self._linger_s if self._pending else None)
            except queue.Empty:
                self._flush()
                continue
            if batch is None:
                break
            if self._pending and not self._belongs(batch):
                self._flush()
            self._pending.append(batch)
        self._flush()
        if self._history.is_new:
            self._log_history()

    def _belongs(self, batch: _Batch) -> bool:
        last, new = self._pending[-1].trajectories[0], batch.trajectories[0]
        held = sum(len(pending.trajectories) for pending in self._pending)
        return (last.mode, last.step) == (new.mode, new.step) and held < _MAX_PENDING

    def _flush(self) -> None:
        """Log the table of the step that waits."""
        batches, self._pending = self._pending, []
        if not batches:
            return
        lost = sum(batch.rows for batch in batches)
        try:
            reason = self._off_because()
            if reason is not None:
                self._count(dropped=lost, waiting=-lost, error=reason)
                return
            rows = self._log_step([t for batch in batches for t in batch.trajectories])
        except Exception as error:  # noqa: BLE001 - the fence: no failure of a sink stops training
            self._failed(error)
            self._count(failed=lost, waiting=-lost, error=f"{type(error).__name__}: {error}")
            return
        self._failures = 0
        self._count(written=rows, waiting=-lost)
        if self._history.is_due:
            self._log_history()

    def _off_because(self) -> str | None:
        if self._failures >= _MAX_FAILURES:
            return self._report.last_error or f"{self.name} is off"
        reason = self._log.unavailable()
        if reason is not None and reason != self._said:
            _logger.warning("The %s sink shows nothing: %s", self.name, reason)
        self._said = reason
        return reason

    def _log_step(self, trajectories: Sequence[Trajectory]) -> int:
        first = trajectories[0]
        picks = select(trajectories, samples=self._samples, seed=self._seed, step=first.step)
        rows = [self._shape.row(pick, sample=place) for place, pick in enumerate(picks)]
        self._log_table(KEYS[first.mode], rows, first.step)
        if first.mode is Mode.TRAIN:
            self._history.add(rows)
            self._last_step = first.step
        return len(rows)

    def _log_history(self) -> None:
        try:
            if self._off_because() is not None:
                return
            self._log_table(HISTORY_KEY, self._history.rows, self._last_step)
            self._history.logged()
        except Exception as error:  # noqa: BLE001 - the fence, as in `_flush`
            self._failed(error)
            self._count(error=f"{type(error).__name__}: {error}")

    def _log_table(self, key: str, rows: Sequence[Sequence[Cell]], step: int) -> None:
        columns, types = self._shape.columns, self._shape.types
        self._log.log(key, columns=columns, types=types, rows=rows, step=step)

    def _failed(self, error: Exception) -> None:
        """One traceback for each outage, one line when the sink gives up."""
        self._failures += 1
        if self._failures == 1:
            _logger.error("The %s sink failed; training goes on.", self.name, exc_info=error)
        if self._failures == _MAX_FAILURES:
            _logger.error(
                "The %s sink failed %d times in a row and is off.", self.name, _MAX_FAILURES
            )


def _light(trajectory: Trajectory) -> Trajectory:
    """The trajectory without what no table shows: a queue of tokens and images would be heavy."""
    if trajectory.tokens is None and not trajectory.blobs:
        return trajectory
    return replace(trajectory, tokens=None, blobs=())
