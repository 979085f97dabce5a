"""The thread that encodes batches and writes them, fenced."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rlvr.codec import (
    annotations_to_table,
    encode_document,
    has_tokens,
    metrics_to_table,
    to_table,
)
from rlvr.errors import StoreFull
from rlvr.record import Annotation, MetricRow, Trajectory
from rlvr.recorder.bytequeue import ByteQueue
from rlvr.recorder.chunk import Chunk
from rlvr.recorder.fence import Fence
from rlvr.recorder.naming import Batch
from rlvr.recorder.report import Tally
from rlvr.recorder.size import value_bytes
from rlvr.store import (
    ROW_GROUP_BYTES,
    ROW_GROUP_ROWS,
    Store,
    annotations_path,
    blob_path,
    host_name,
    metrics_path,
    parquet_bytes,
    parquet_of_parts,
    process_mark,
    rank_path,
)

T = TypeVar("T")

_IDLE_S = 0.5
_BACKOFF_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose writer this is. `flush_s` and `retry_s` are those of `Recorder.open`."""

    run: str
    attempt: int
    rank: int
    flush_s: float
    retry_s: float


class Writer:
    """One daemon thread over a queue. Only it touches the store once the recorder is open."""

    def __init__(self, store: Store, place: Place, queue: ByteQueue[Batch], tally: Tally) -> None:
        self._store = store
        self._place = place
        self._queue = queue
        self._tally = tally
        self._started_at = time.time()
        self._process = process_mark(os.getpid())
        self._counted_at = time.monotonic()
        self._blobs: set[str] = set()
        self._patience_until: float | None = None
        self._refused = False
        self._in_hand: Batch | None = None
        self._hand_lock = threading.Lock()
        self._hurry = threading.Event()
        self._closing = False
        self._synced = threading.Condition()
        self._sync_wanted = 0
        self._sync_done = 0
        self._chunk_lock = threading.Lock()
        self.failure: str | None = None
        self.store_fence = Fence("The store of the recording")
        self.codec_fence = Fence("Encoding a trajectory")
        self.metrics: Chunk[MetricRow] = Chunk(_metric_bytes, place.flush_s)
        self._annotations: dict[str, Chunk[Annotation]] = {}
        self._thread = threading.Thread(target=self._run, name="rlvr-writer", daemon=True)

    def start(self) -> None:
        """Write this process's counts, so that a store that can't be written shows now, and go.

        Raises:
            StoreError: the store can't be written.
        """
        self._write_rank(closed=False)
        self._thread.start()

    def annotate(self, annotations: Sequence[Annotation]) -> None:
        """Take annotations; they are written within `flush_s`."""
        by_kind: dict[str, list[Annotation]] = {}
        for annotation in annotations:
            by_kind.setdefault(annotation.kind, []).append(annotation)
        with self._chunk_lock:
            for kind, notes in by_kind.items():
                if kind not in self._annotations:
                    self._annotations[kind] = Chunk(_annotation_bytes, self._place.flush_s)
                self._annotations[kind].append(notes)

    @property
    def annotations_lost(self) -> int:
        """Annotations that no file will hold."""
        return sum(chunk.lost for chunk in self._annotations.values())

    def sync(self, timeout_s: float) -> bool:
        """Wait until everything taken so far is written or counted as lost."""
        deadline = time.monotonic() + timeout_s
        with self._synced:
            self._sync_wanted += 1
            wanted = self._sync_wanted
        self._queue.wake()
        with self._synced:
            while self._sync_done < wanted:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._thread.is_alive():
                    return False
                self._synced.wait(min(remaining, _IDLE_S))
        return True

    def close(self, timeout_s: float) -> None:
        """Write what waits; after `timeout_s` count the rest as dropped, and stop retrying now."""
        self._closing = True
        self._hurry.set()
        self._queue.wake()
        self._thread.join(timeout_s)
        self._tally.add(dropped=sum(len(batch.rows) for batch in self._queue.end()))
        in_hand = self._let_go()
        if in_hand is not None:
            self._tally.add(failed=len(in_hand.rows))

    def _run(self) -> None:
        while True:
            asked = self._closing or self._sync_wanted > self._sync_done
            entry = self._queue.get(0 if asked else _IDLE_S)
            if entry is not None:
                self._handle(*entry)
                continue
            with self._synced:
                wanted = self._sync_wanted
            closing = self._closing
            self._flush_chunks(force=closing or wanted > self._sync_done)
            if time.monotonic() - self._counted_at >= self._place.flush_s:
                self._count(closed=False)  # a sign of life, where nothing happens
            if wanted > self._sync_done:
                self._count(closed=False)
                with self._synced:
                    self._sync_done = wanted
                    self._synced.notify_all()
            if closing and self._queue.empty:
                break
        for chunk in self._chunks():
            chunk.give_up()
        self._count(closed=True)

    def _handle(self, batch: Batch, size: int) -> None:
        self._in_hand = batch
        self._count(closed=False)
        try:
            changes = self._write_batch(batch)
        finally:
            self._queue.done(size)
        if self._let_go() is batch:
            self._tally.add(**changes)
        if changes.get("recorded") != len(batch.rows):
            self._count(closed=False)  # what was recorded the files show, what was lost they don't
        self._flush_chunks(force=False)

    def _let_go(self) -> Batch | None:
        """The batch in hand, for whoever asks first: it is counted once, also if close gave up."""
        with self._hand_lock:
            batch, self._in_hand = self._in_hand, None
            return batch

    def _write_batch(self, batch: Batch) -> Mapping[str, int]:
        """Write one file; what became of its rows, as changes of the tally."""
        rows = batch.rows
        try:
            payload, rows = self._encoded(batch)
            if rows:
                self._write_blobs(rows)
                self._commit_patiently(batch.name.path, payload)
        except StoreFull as error:
            self._refused = True
            self.store_fence.failed(error, f"{len(rows)} trajectories are dropped.")
            return {"dropped": len(rows), "failed": len(batch.rows) - len(rows)}
        except Exception as error:  # noqa: BLE001  the fence: nothing may end this thread
            self._refused = True
            self.store_fence.failed(error, f"{len(rows)} trajectories are not recorded.")
            return {"failed": len(batch.rows)}
        return {
            "recorded": len(rows),
            "failed": len(batch.rows) - len(rows),
            "batches": bool(rows),
            "bytes_written": len(payload),
        }

    def _encoded(self, batch: Batch) -> tuple[bytes, tuple[Trajectory, ...]]:
        """The file of a batch and the rows in it: without those that can't be encoded, if any."""
        try:
            return _file(batch.rows, batch.sizes), batch.rows
        except Exception:  # noqa: BLE001  one alien value must not cost the whole batch
            sized = list(zip(batch.rows, batch.sizes, strict=True))
            kept = [(row, size) for row, size in sized if self._encodable(row, size)]
        if not kept:
            return b"", ()
        rows, sizes = zip(*kept, strict=True)
        return _file(rows, sizes), rows

    def _encodable(self, row: Trajectory, size: int) -> bool:
        try:
            _file((row,), (size,))
        except Exception as error:  # noqa: BLE001  the fence: a trainer may hand over anything
            self.codec_fence.failed(error, f"Trajectory {row.id} is not recorded.")
            return False
        return True

    def _write_blobs(self, rows: Sequence[Trajectory]) -> None:
        for row in rows:
            for blob in row.blobs:
                if blob.sha256 not in self._blobs:
                    self._commit_patiently(blob_path(blob.sha256), blob.data)
                    self._blobs.add(blob.sha256)

    def _commit_patiently(self, name: str, payload: bytes) -> None:
        """Commit, retrying for `retry_s` from the start of an outage on, and once after that."""
        while True:
            try:
                self._store.commit(name, payload)
            except StoreFull:
                raise
            except Exception as error:
                now = time.monotonic()
                if self._patience_until is None:
                    self._patience_until = now + self._place.retry_s
                if now >= self._patience_until or self._hurry.is_set():
                    raise
                self.store_fence.failed(error, f"Retrying for {self._place.retry_s:g} s.")
                self._hurry.wait(_BACKOFF_S)
            else:
                self._patience_until = None
                self._refused = False
                self.store_fence.worked()
                return

    def _chunks(self) -> list[Chunk[MetricRow] | Chunk[Annotation]]:
        with self._chunk_lock:
            return [self.metrics, *self._annotations.values()]

    def _flush_chunks(self, *, force: bool) -> None:
        with self._chunk_lock:
            by_kind = list(self._annotations.items())
        self._flush_chunk(self.metrics, self._write_metrics, force=force)
        for kind, chunk in by_kind:

            def write(number: int, rows: Sequence[Annotation], kind: str = kind) -> None:
                name = annotations_path(kind, self._place.attempt, self._place.rank, number)
                self._store.commit(name, parquet_bytes(annotations_to_table(rows)))

            self._flush_chunk(chunk, write, force=force)

    def _flush_chunk(
        self, chunk: Chunk[T], write: Callable[[int, Sequence[T]], None], *, force: bool
    ) -> None:
        if not (chunk.due or (force and chunk.pending)):
            return
        try:
            chunk.flush(write)
        except Exception as error:  # noqa: BLE001  the fence: nothing may end this thread
            self.store_fence.failed(error, "Metrics and annotations wait in memory.")
        else:
            if not self._refused:  # small files fit where no batch does: the outage goes on
                self.store_fence.worked()

    def _write_metrics(self, number: int, rows: Sequence[MetricRow]) -> None:
        name = metrics_path(self._place.attempt, self._place.rank, number)
        self._store.commit(name, parquet_bytes(metrics_to_table(rows)))

    def _count(self, *, closed: bool) -> None:
        """Rewrite this process's counts. Best effort: they are counted again at the next batch."""
        self._counted_at = time.monotonic()
        try:
            self._write_rank(closed=closed)
        except Exception as error:  # noqa: BLE001  the fence: nothing may end this thread
            self.store_fence.failed(error, "The counts on disk are out of date.")

    def _write_rank(self, *, closed: bool) -> None:
        counts = {
            "run": self._place.run,
            "attempt": self._place.attempt,
            "rank": self._place.rank,
            **self._tally.counts(),
            "outages": self.store_fence.outages + self.codec_fence.outages,
            "last_error": self.codec_fence.last_error or self.store_fence.last_error,
            "failure": self.failure,
            "metric_rows_lost": self.metrics.lost,
            "annotations_lost": self.annotations_lost,
            "started_at": self._started_at,
            "written_at": time.time(),
            "pid": os.getpid(),
            "process": self._process,
            "host": host_name(),
            "closed": closed,
        }
        self._store.commit(
            rank_path(self._place.rank, self._place.attempt), encode_document(counts)
        )


def _file(rows: Sequence[Trajectory], sizes: Sequence[int]) -> bytes:
    for row in rows:
        for blob in row.blobs:
            blob_path(blob.sha256)
    tokens = has_tokens(rows)
    return parquet_of_parts(to_table(part, tokens=tokens) for part in _parts(rows, sizes))


def _parts(rows: Sequence[Trajectory], sizes: Sequence[int]) -> Iterator[Sequence[Trajectory]]:
    """The rows as row groups hold them: a batch of long rollouts is never in memory twice."""
    part: list[Trajectory] = []
    held = 0
    for row, size in zip(rows, sizes, strict=True):
        if part and (len(part) == ROW_GROUP_ROWS or held + size > ROW_GROUP_BYTES):
            yield part
            part, held = [], 0
        part.append(row)
        held += size
    yield part


def _metric_bytes(row: MetricRow) -> int:
    return value_bytes(row.values)


def _annotation_bytes(annotation: Annotation) -> int:
    return value_bytes(annotation.payload)
