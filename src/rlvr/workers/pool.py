"""Several workers for callers in any number of threads."""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from rlvr.workers.process import WorkerProcess


class WorkerPool:
    """At most `size` workers, made by `start`, each lent to one caller at a time.

    All are made in one thread that lives as long as the pool, since a worker may die with the
    thread that made it. A worker that was not kept is replaced, in the background.
    """

    def __init__(self, start: Callable[[], WorkerProcess], *, size: int) -> None:
        self._start = start
        self._idle: queue.SimpleQueue[Future[WorkerProcess] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._alive: set[WorkerProcess] = set()
        self._closed = False
        self._owner = os.getpid()
        self._maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rlvr-workers")
        self._unmade = size
        self._replace()

    @contextmanager
    def lend(self) -> Iterator["Loan"]:
        """A worker of one's own; it goes back if the block says so by `Loan.keep`.

        Raises what `start` raised, where no worker could be made.
        """
        loan = Loan(self._take())
        try:
            yield loan
        finally:
            if loan.kept and not self._closed:
                ready: Future[WorkerProcess] = Future()
                ready.set_result(loan.worker)
                self._idle.put(ready)
            else:
                self._discard(loan.worker)
                self._replace_one()

    def close(self) -> None:
        """Stop every worker. A caller that waits for one gets a RuntimeError.

        In a process that was forked from the pool's own this does nothing.
        """
        with self._lock:
            if self._closed or os.getpid() != self._owner:
                return
            self._closed = True
        self._maker.shutdown(wait=True, cancel_futures=True)
        for worker in tuple(self._alive):
            self._discard(worker)
        self._idle.put(None)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        return tuple(worker.pid for worker in self._alive)

    def _take(self) -> WorkerProcess:
        with self._lock:
            grow = self._unmade > 0 and self._idle.empty()
        if grow:
            self._replace()
        waiting = self._idle.get()
        if waiting is None or self._closed:
            self._idle.put(None)  # for the next who waits
            raise RuntimeError("the workers were stopped")
        try:
            return waiting.result()
        except BaseException:
            self._replace_one()
            raise

    def _replace(self) -> None:
        """Make one of the workers that were not needed until now."""
        with self._lock:
            if self._unmade <= 0:
                return
            self._unmade -= 1
        self._replace_one()

    def _replace_one(self) -> None:
        with self._lock:
            if not self._closed:
                self._idle.put(self._maker.submit(self._make))

    def _make(self) -> WorkerProcess:
        worker = self._start()
        self._alive.add(worker)
        return worker

    def _discard(self, worker: WorkerProcess) -> None:
        self._alive.discard(worker)
        worker.stop()


class Loan:
    """A worker that was lent. `keep` gives it back whole; otherwise it is stopped."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.kept = False

    def keep(self) -> None:
        """Say that the next caller may have this worker."""
        self.kept = True
