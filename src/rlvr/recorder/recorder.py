"""The recorder: what a training run talks to."""

import atexit
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rlvr.codec import encode_vocabulary
from rlvr.errors import ConfigurationError
from rlvr.record import Annotation, MetricRow, Mode, RunInfo, Sink, SinkReport, Trajectory
from rlvr.recorder.bytequeue import ByteQueue
from rlvr.recorder.compacting import Compactor, Pace
from rlvr.recorder.fence import Fence, logger
from rlvr.recorder.mirroring import END_S, Uploader, open_uploader
from rlvr.recorder.naming import Batch, Namer, batch_key
from rlvr.recorder.opening import Claim, open_store
from rlvr.recorder.report import RecorderReport, Tally
from rlvr.recorder.size import trajectory_bytes
from rlvr.recorder.writer import Place, Writer
from rlvr.remote.mirroring import copy_place
from rlvr.store import DEFAULT_RESERVE_BYTES, VOCABULARY_FILE, Store, run_folder

_PENDING_BYTES = 64 << 20
_SINK_CLOSE_S = 1.0


class Recorder:
    """Takes trajectories from a training run and writes them, without ever stopping it.

    Opening is loud. After it nothing raises: what can't be written is counted, each outage is
    logged once, and `report` says what became of everything offered. Use as a context manager, or
    call `close`; a recorder left open is closed when the interpreter exits. Methods may be called
    from any thread. In a forked child they do nothing. Don't change what you have handed over.
    """

    def __init__(
        self,
        *,
        claim: Claim,
        sinks: Sequence[Sink],
        queue_bytes: int,
        wait_s: float,
        flush_s: float,
        retry_s: float,
    ) -> None:
        if claim.mirror is not None:
            copy_place(claim.mirror, run_folder(claim.output_dir, "any"))  # before a run is begun
        opened = open_store(claim)
        self.run = opened.run
        self.attempt = opened.attempt
        self.rank = claim.rank
        self.folder = opened.folder
        self._store = opened.store
        self._wait_s = wait_s
        self._sinks = [(sink, Fence(f"The sink {sink.name}")) for sink in sinks]
        self._fence = Fence("The recorder")
        self._queue_fence = Fence("The queue of the recording")
        self._queue: ByteQueue[Batch] = ByteQueue(queue_bytes)
        self._tally = Tally()
        self._namer = Namer(run=self.run, attempt=self.attempt, rank=self.rank)
        place = Place(
            run=self.run, attempt=self.attempt, rank=self.rank, flush_s=flush_s, retry_s=retry_s
        )
        self._writer = Writer(opened.store, place, self._queue, self._tally)
        self._lock = threading.RLock()
        self._pending: list[Trajectory] = []
        self._pending_bytes = 0
        self._closed = False
        self._sink_reports: tuple[SinkReport, ...] = ()
        self._pid = os.getpid()
        self._uploader: Uploader | None = None
        if claim.mirror is not None:
            self._uploader = open_uploader(opened, claim.mirror, rank=claim.rank)
        self._writer.start()
        self._compactor: Compactor | None = None
        if opened.shelf is not None:
            self._compactor = Compactor(opened.shelf, self.attempt, Pace.of(opened.shelf))
            self._compactor.start()
        if self._uploader is not None:
            self._uploader.start()
        atexit.register(self._at_exit)

    @classmethod
    def open(
        cls,
        output_dir: str | Path,
        *,
        info: RunInfo | None = None,
        run: str | None = None,
        attempt: int | None = None,
        rank: int = 0,
        first_step: int = 0,
        world_size: int = 1,
        sinks: Sequence[Sink] = (),
        queue_bytes: int = 1 << 30,
        wait_s: float = 5.0,
        flush_s: float = 10.0,
        retry_s: float = 5.0,
        reserve_bytes: int = DEFAULT_RESERVE_BYTES,
        max_bytes: int | None = None,
        compact: bool = True,
        mirror: str | None = None,
        store: Store | None = None,
    ) -> "Recorder":
        """Open a recording below `output_dir`, in rlvr/RUN_ID.

        Args:
            output_dir: where the trainer writes; made if it does not exist.
            info: what a comparison of two runs needs; its `run` is set here.
            run: continue this run (a resume). Rank 0 then claims its next free attempt.
            attempt: needed for ranks above 0, together with run: those of rank 0's recorder.
            rank: number of this process, from 0.
            first_step: the step that this attempt starts from; older rows from it on are
                superseded.
            world_size: number of processes.
            sinks: further places to offer every batch to.
            queue_bytes: memory that may wait to be written.
            wait_s: how long a full queue may hold training up before a batch is dropped.
            flush_s: how long metrics and annotations may wait in memory.
            retry_s: how long a failing write is retried before it is counted as failed.
            reserve_bytes: free disk to leave for checkpoints; below it batches are dropped.
            max_bytes: size that the run's folder stays below: the oldest steps give up their token
                details, then their messages, never their scalars; then batches are dropped. For one
                process of a run, rank 0.
            compact: write many small trajectory files as few large ones, in a thread of rank 0
                that nothing waits for, and what is left of them in `close`.
            mirror: a URL, such as s3://bucket/runs, to which finished files are copied, into a
                folder of the run's id, by a thread that nothing waits for but `close`, 30 s at
                most. Give it to every process.
            store: where to write instead of the local disk.

        Raises:
            ConfigurationError: the arguments do not fit together.
            MissingDependency: the package of the mirror's protocol is not installed.
            StoreError: the store can't be written, or the mirror refuses (RemoteRefused). One that
                can't be reached is tried again later.
            NewerFormat: the run to continue was written by a newer rlvr.
        """
        if queue_bytes <= 0 or wait_s < 0 or rank < 0 or first_step < 0:
            raise ConfigurationError(
                f"queue_bytes={queue_bytes}, wait_s={wait_s}, rank={rank}, first_step={first_step}:"
                " queue_bytes must be above 0, the others at least 0."
            )
        if max_bytes is not None and (max_bytes <= 0 or store is not None):
            raise ConfigurationError(
                f"max_bytes={max_bytes} must be above 0, and limits a folder on this disk: leave"
                " store out, or max_bytes."
            )
        if mirror is not None and store is not None:
            raise ConfigurationError(
                "mirror copies a folder on this disk: leave store out, or mirror."
            )
        claim = Claim(
            output_dir=Path(output_dir),
            info=info,
            run=run,
            attempt=attempt,
            rank=rank,
            first_step=first_step,
            world_size=world_size,
            reserve_bytes=reserve_bytes,
            max_bytes=max_bytes,
            store=store,
            compact=compact,
            mirror=mirror,
        )
        return cls(
            claim=claim,
            sinks=sinks,
            queue_bytes=queue_bytes,
            wait_s=wait_s,
            flush_s=flush_s,
            retry_s=retry_s,
        )

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if error is not None:
            self.fail(error)
        self.close()

    def fail(self, error: BaseException) -> None:
        """Let the record say that training ends with an error; `close` writes it."""
        said = str(error)
        self._writer.failure = type(error).__name__ + (f": {said}" if said else "")

    def next_batch(self, mode: Mode) -> int:
        """Number of the next generation batch of that mode in this attempt: 0, 1, 2, ..."""
        return self._namer.next_batch(mode)

    def stamp(self, batch: Sequence[Trajectory]) -> tuple[Trajectory, ...]:
        """The batch with the ids it will have, for those who annotate it later.

        Run, attempt and rank become the recorder's own. `record_batch` keeps these ids.
        """
        return self._namer.reserve(batch)

    def record_batch(self, batch: Sequence[Trajectory]) -> bool:
        """Record the trajectories of one generation batch, as one file.

        Waits at most `wait_s` for room in the queue. False where the batch was dropped, which is
        counted. Ids are given here unless `stamp` gave them.
        """
        if not batch or self._foreign():
            return not batch
        self._tally.add(offered=len(batch))
        return self._send(batch)

    def offer(self, trajectory: Trajectory) -> bool:
        """Record one trajectory; a change of (mode, step, batch) sends those collected so far.

        False where a batch that was sent now, or this trajectory, was dropped.
        """
        if self._foreign():
            return False
        self._tally.add(offered=1)
        try:
            with self._lock:
                return self._collect(trajectory)
        except Exception as error:  # noqa: BLE001  the fence: training must not notice
            self._tally.add(failed=1)
            self._fence.failed(error, "A trajectory is not recorded.")
            return False

    def commit(self) -> bool:
        """Send what `offer` collected. False where it was dropped."""
        if self._foreign():
            return False
        with self._lock:
            pending, self._pending = self._pending, []
            self._pending_bytes = 0
            return self._send(pending) if pending else True

    def annotate(self, annotations: Sequence[Annotation]) -> None:
        """Record later knowledge of trajectories, written within `flush_s`."""
        if self._foreign():
            return
        now = time.time()
        try:
            self._writer.annotate(
                [a if a.written_at else replace(a, written_at=now) for a in annotations]
            )
        except Exception as error:  # noqa: BLE001  the fence: training must not notice
            self._fence.failed(error, "Annotations are lost.")

    def metrics(self, row: MetricRow) -> None:
        """Record what the trainer logged at a step, written within `flush_s`.

        Its attempt becomes the recorder's own.
        """
        if self._foreign():
            return
        try:
            values = {str(name): float(value) for name, value in row.values.items()}
            self._writer.metrics.append([replace(row, values=values, attempt=self.attempt)])
        except Exception as error:  # noqa: BLE001  the fence: training must not notice
            self._writer.metrics.refuse(1)
            self._fence.failed(error, "A metric row is lost.")

    def keep_vocabulary(self, texts: Sequence[str]) -> None:
        """Keep the text of each token id, from 0 on, so that token details can be read.

        Part of setting up: written at once.

        Raises:
            StoreError: the store can't be written.
        """
        self._store.commit(VOCABULARY_FILE, encode_vocabulary(texts))

    def report(self) -> RecorderReport:
        """What became of everything offered so far."""
        writer = self._writer
        fences = (self._fence, writer.codec_fence, writer.store_fence, self._queue_fence)
        return RecorderReport(
            run=self.run,
            attempt=self.attempt,
            rank=self.rank,
            **self._tally.counts(),
            queue_bytes=self._queue.held_bytes,
            outages=sum(fence.outages for fence in fences),
            last_error=next((fence.last_error for fence in fences if fence.last_error), None),
            metric_rows_lost=self._writer.metrics.lost,
            annotations_lost=self._writer.annotations_lost,
            sink_failures=sum(fence.failures for _, fence in self._sinks),
            sinks=self._sink_reports,
            mirror=self._uploader.report() if self._uploader else None,
        )

    def flush(self, timeout_s: float) -> bool:
        """Send what was offered and wait until all of it is written, or counted as lost.

        False where that took longer than `timeout_s`.
        """
        if self._foreign() or self._closed:
            return False
        self.commit()
        return self._writer.sync(timeout_s)

    def close(self, timeout_s: float = 30.0) -> RecorderReport:
        """Write what waits, close the sinks, and say what became of everything.

        What is not written within `timeout_s` is counted as dropped; small files that are not
        compacted by then stay. A mirror gets at least 30 s. Closing again does nothing.
        """
        if self._foreign() or self._closed:
            return self.report()
        deadline = time.monotonic() + timeout_s
        self.commit()
        with self._lock:
            if self._closed:
                return self.report()
            self._closed = True
        self._writer.close(max(deadline - time.monotonic(), 0.0))
        self._sink_reports = tuple(
            _close_sink(sink, fence, max(deadline - time.monotonic(), _SINK_CLOSE_S))
            for sink, fence in self._sinks
        )
        if self._compactor is not None:
            self._compactor.finish(max(deadline - time.monotonic(), 0.0))
        if self._uploader is not None:
            self._uploader.finish(max(deadline - time.monotonic(), END_S))
        atexit.unregister(self._at_exit)
        report = self.report()
        log = logger.warning if report.lost else logger.info
        log("%s, in %s", report.text, self.folder)
        if report.mirror is not None:
            log = logger.info if report.mirror.whole else logger.warning
            log("%s", report.mirror.text(self.folder))
        return report

    def _at_exit(self) -> None:
        if not self._foreign():
            self.close()

    def _collect(self, trajectory: Trajectory) -> bool:
        key, size = batch_key(trajectory), trajectory_bytes(trajectory)
        changed = bool(self._pending) and batch_key(self._pending[0]) != key
        sent = self.commit() if changed or self._pending_bytes >= _PENDING_BYTES else True
        if self._closed:
            return self._send((trajectory,))
        self._pending.append(trajectory)
        self._pending_bytes += size
        return sent

    def _send(self, trajectories: Sequence[Trajectory]) -> bool:
        """Hand counted trajectories to the queue and the sinks; whatever happens is counted."""
        if self._closed:
            self._tally.add(dropped=len(trajectories))
            return False
        try:
            batches = [
                replace(batch, sizes=tuple(map(trajectory_bytes, batch.rows)))
                for batch in self._namer.batches(trajectories)
            ]
        except Exception as error:  # noqa: BLE001  the fence: training must not notice
            self._tally.add(failed=len(trajectories))
            self._fence.failed(error, f"{len(trajectories)} trajectories are not recorded.")
            return False
        self._fence.worked()
        kept = [self._enqueue(batch, sum(batch.sizes)) for batch in batches]
        for batch in batches:
            self._offer_to_sinks(batch)
        return all(kept)

    def _enqueue(self, batch: Batch, size: int) -> bool:
        if self._queue.put(batch, size, self._wait_s):
            if self._queue.held_bytes <= size:  # the writer has caught up
                self._queue_fence.worked()
            return True
        self._tally.add(dropped=len(batch.rows))
        full = TimeoutError(f"no room for {size >> 10} KiB within {self._wait_s:g} s")
        self._queue_fence.failed(full, f"{len(batch.rows)} trajectories are dropped.")
        return False

    def _offer_to_sinks(self, batch: Batch) -> None:
        for sink, fence in self._sinks:
            try:
                sink.offer(batch.rows)
            except Exception as error:  # noqa: BLE001  the fence: training must not notice
                fence.failed(error, "It misses this batch.")
            else:
                fence.worked()

    def _foreign(self) -> bool:
        """Whether this is a forked child, which must neither write nor wait for a lock."""
        return os.getpid() != self._pid


def _close_sink(sink: Sink, fence: Fence, timeout_s: float) -> SinkReport:
    try:
        return sink.close(timeout_s)
    except Exception as error:  # noqa: BLE001  the fence: the end of training is training too
        fence.failed(error, "What it had not written is lost.")
        return SinkReport(name=sink.name, failed=fence.failures, last_error=fence.last_error)
