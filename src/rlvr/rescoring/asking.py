"""One scorer in a process of its own, asked rollout by rollout, each within a time limit."""

import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from rlvr import errors
from rlvr.record import Trajectory
from rlvr.record.rescore import Scored, ScoringThread
from rlvr.rescoring.protocol import Ready, Refusal, Setup
from rlvr.workers import WorkerEnded, WorkerProcess, WorkerTimeout

_START_S = 600.0  # an environment may fetch its data
_END_S = 5.0
_ENVIRONMENT = {"TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"}


class ScorerProcess:
    """A scorer of one thread. Answers come in the order of the questions, from a thread here.

    A rollout that takes more than `timeout_s`, or whose scorer takes the process with it, is an
    answer too; the next one gets a new process. After `patience` such in a row the scorer is given
    up (`gave_up`), and what is asked then gets no answer: None. Use as a context manager.
    """

    def __init__(self, setup: Setup, *, timeout_s: float, patience: int) -> None:
        self.gave_up = False
        self._setup = setup
        self._timeout_s = timeout_s
        self._patience = patience
        self._worker: WorkerProcess | None = None
        self._lost = 0
        # The process dies with the thread that started it, so one thread does it all.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rlvr-rescore")
        self._begun = self._thread.submit(self._start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._thread.submit(self._end).result()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._worker is not None:
            self._worker.stop()

    @property
    def thread(self) -> ScoringThread:
        """Where it scores."""
        return self._setup.thread

    def ready(self) -> Ready:
        """What it says of itself; waits until it is loaded.

        Raises:
            ConfigurationError: the scorer can't be loaded.
            MissingDependency: a package that it needs is not installed.
            ScorerUnavailable: its process does not start.
        """
        return self._begun.result()

    def ask(self, trajectory: Trajectory) -> "Future[Scored | None]":
        """Score it. The future raises as `ready`, where a new process was needed."""
        return self._thread.submit(self._ask, trajectory)

    def _ask(self, trajectory: Trajectory) -> Scored | None:
        if self.gave_up:
            return None
        if self._worker is None:
            self._start()
        assert self._worker is not None
        try:
            reply = self._worker.ask(pickle.dumps(trajectory), timeout_s=self._timeout_s)
        except WorkerTimeout:
            why = f"no score within {self._timeout_s:g} s"
            return self._lose(Scored(failure=f"TimeoutError: {why}", timed_out=True))
        except WorkerEnded as error:
            return self._lose(Scored(failure=f"the scorer's process did not survive it: {error}"))
        self._lost = 0
        scored: Scored = pickle.loads(reply)
        return scored

    def _lose(self, scored: Scored) -> Scored:
        self._stop()
        self._lost += 1
        self.gave_up = self._lost >= self._patience
        return scored

    def _start(self) -> Ready:
        # A plain process and none of multiprocessing's: those run the caller's script once more.
        self._worker = WorkerProcess(
            [sys.executable, "-m", f"{__package__}.scoring_process", str(os.getpid())],
            env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            reply = self._worker.ask(pickle.dumps(self._setup), timeout_s=_START_S)
        except (WorkerTimeout, WorkerEnded) as error:
            self._stop()
            raise errors.ScorerUnavailable(
                f"the process that scores with {self._setup.loader} does not start: {error}"
            ) from error
        said: Ready | Refusal = pickle.loads(reply)
        if isinstance(said, Refusal):
            self._stop()
            kind: Callable[[str], errors.RlvrError] = getattr(errors, said.error)
            raise kind(said.text)
        return said

    def _end(self) -> None:
        """Let it close what its scorer holds, if it does so at once."""
        if self._worker is None:
            return
        try:
            self._worker.ask(pickle.dumps(None), timeout_s=_END_S)
        except (WorkerTimeout, WorkerEnded):
            self._stop()

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
