"""Twins of the sink and of its table log that keep everything in memory, for tests."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.record import SinkReport, Trajectory
from rlvr.sinks.rows import Cell

__all__ = ["LoggedTable", "MemorySink", "MemoryTables"]


class MemorySink:
    """A sink that keeps every batch it is offered.

    `error` is raised by every `offer`, to see what a failing sink does to its caller.
    """

    def __init__(self, *, name: str = "memory", error: Exception | None = None) -> None:
        self.name = name
        self.batches: list[tuple[Trajectory, ...]] = []
        self.is_closed = False
        self._error = error
        self._offered = 0

    def offer(self, batch: Sequence[Trajectory]) -> None:
        """Keep the batch, or raise `error`."""
        self._offered += len(batch)
        if self._error is not None:
            raise self._error
        self.batches.append(tuple(batch))

    def close(self, timeout_s: float) -> SinkReport:  # noqa: ARG002 - nothing to wait for
        """What was kept."""
        self.is_closed = True
        written = sum(map(len, self.batches))
        return SinkReport(
            name=self.name,
            offered=self._offered,
            written=written,
            failed=self._offered - written,
            last_error=None if self._error is None else str(self._error),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedTable:
    """One table as it was logged."""

    key: str
    columns: tuple[str, ...]
    types: tuple[type, ...]
    rows: tuple[tuple[Cell, ...], ...]
    step: int


class MemoryTables:
    """A `TableLog` that keeps its tables.

    `reason` makes it unavailable, `errors` are raised by the next logs, one each, and while `gate`
    is clear a log hangs.
    """

    def __init__(self, *, reason: str | None = None, errors: Sequence[Exception] = ()) -> None:
        self.tables: list[LoggedTable] = []
        self.reason = reason
        self.errors = list(errors)
        self.gate = threading.Event()
        self.gate.set()

    def unavailable(self) -> str | None:
        """`reason`."""
        return self.reason

    def log(
        self,
        key: str,
        *,
        columns: Sequence[str],
        types: Sequence[type],
        rows: Sequence[Sequence[Cell]],
        step: int,
    ) -> None:
        """Keep the table, after the gate has opened, or raise the next of `errors`."""
        self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.tables.append(
            LoggedTable(
                key=key,
                columns=tuple(columns),
                types=tuple(types),
                rows=tuple(tuple(row) for row in rows),
                step=step,
            )
        )
