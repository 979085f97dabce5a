"""Rows that arrive one at a time, written as few files."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

CHUNK_ROWS = 2048
CHUNK_BYTES = 8 << 20
PENDING_ROWS = 64
WAITING_ROWS = 32_768
WAITING_BYTES = 128 << 20


class Chunk(Generic[T]):
    """The rows of the file being filled.

    A flush rewrites that file whole, so that a run has one file for each CHUNK_ROWS rows (or
    CHUNK_BYTES) and not one for each step. Rows that a dead store keeps from leaving are refused
    once WAITING_ROWS or WAITING_BYTES wait: several updates of a large batch with every token.
    """

    def __init__(self, size_of: Callable[[T], int], interval_s: float) -> None:
        self._size_of = size_of
        self._interval_s = interval_s
        self._rows: list[T] = []
        self._bytes = 0
        self._written = 0
        self._number = 0
        self._flushed_at = time.monotonic()
        self._lock = threading.Lock()
        self.lost = 0

    def append(self, rows: Sequence[T]) -> None:
        """Take rows, or count them as lost where too many wait already."""
        with self._lock:
            if len(self._rows) >= WAITING_ROWS or self._bytes >= WAITING_BYTES:
                self.lost += len(rows)
                return
            self._rows.extend(rows)
            self._bytes += sum(map(self._size_of, rows))

    def refuse(self, rows: int) -> None:
        """Count rows that were no rows as lost."""
        with self._lock:
            self.lost += rows

    @property
    def pending(self) -> int:
        """Rows that no file holds yet."""
        return len(self._rows) - self._written

    @property
    def due(self) -> bool:
        """Whether it is time to write: in time, or when enough rows wait.

        How many are enough grows with the file, which a flush rewrites: a row is written some
        four times in all, however long the file gets.
        """
        waited = time.monotonic() - self._flushed_at
        enough = max(PENDING_ROWS, self._written // 3)
        return self.pending >= enough or (self.pending > 0 and waited >= self._interval_s)

    def flush(self, write: Callable[[int, Sequence[T]], None]) -> None:
        """Write the current file by `write(number, rows)`; rows stay pending where it raises."""
        self._flushed_at = time.monotonic()
        with self._lock:
            rows = tuple(self._rows)
        write(self._number, rows)
        with self._lock:
            self._written = len(rows)
            if len(rows) >= CHUNK_ROWS or self._bytes >= CHUNK_BYTES:
                self._rows = self._rows[len(rows) :]
                self._bytes = sum(map(self._size_of, self._rows))
                self._written = 0
                self._number += 1

    def give_up(self) -> None:
        """Count what still waits as lost."""
        with self._lock:
            self.lost += len(self._rows) - self._written
            self._rows = self._rows[: self._written]
