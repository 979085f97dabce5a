"""Annotations of a rescoring to files that nobody else writes."""

import math
import secrets
import time
from collections.abc import Sequence

from rlvr.codec import annotations_to_table
from rlvr.record import RESCORE, Annotation
from rlvr.recorder.chunk import Chunk
from rlvr.recorder.size import value_bytes
from rlvr.store import Store, later_annotations_path, parquet_bytes

_FIRST_FLUSH_S, _FLUSH_S = 1.0, 10.0
_FLUSH_ROWS = 2048


class RescoreWriter:
    """Adds annotations to a run, whoever else writes to it.

    Every few thousand annotations make a file, which is whole on disk at any time. The first
    annotations are written at once, so that a store that can't be written shows then; what comes
    next a second later, and soon every ten seconds.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer = time.strftime("%Y%m%dT%H%M%S-", time.gmtime()) + secrets.token_hex(4)
        self._chunk: Chunk[Annotation] = Chunk(lambda note: value_bytes(note.payload), _FLUSH_S)
        self._flushed_at = -math.inf
        self._wait_s = _FIRST_FLUSH_S
        self.written = 0

    def add(self, notes: Sequence[Annotation]) -> None:
        """Take annotations; they are on disk within ten seconds of the next ones, or by `flush`.

        Raises:
            StoreFull: free space has fallen to the reserve.
            StoreError: the disk refused.
        """
        self._chunk.append(notes)
        waited_s = time.monotonic() - self._flushed_at
        if self._chunk.pending >= _FLUSH_ROWS or waited_s >= self._wait_s:
            self._wait_s = min(2 * self._wait_s, _FLUSH_S) if self.written else _FIRST_FLUSH_S
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises as `add`."""
        waiting = self._chunk.pending
        if waiting:
            self._chunk.flush(self._write)
            self._flushed_at = time.monotonic()
            self.written += waiting

    def _write(self, number: int, notes: Sequence[Annotation]) -> None:
        name = later_annotations_path(RESCORE, self._writer, number)
        self._store.commit(name, parquet_bytes(annotations_to_table(notes)))
