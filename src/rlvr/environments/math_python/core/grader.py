"""Grading in processes of its own: from any thread, within bounds of time and memory."""

import importlib.util
import json
import os
import sys
import time
import weakref

from rlvr.environments.math_python.core.grading import LONGEST_ANSWER, Grade, Outcome
from rlvr.errors import MissingDependency, ScorerUnavailable
from rlvr.workers import WorkerEnded, WorkerPool, WorkerProcess, WorkerTimeout

_START_S = 120.0
_TASKS_PER_PROCESS = 500  # sympy's caches grow
_MEMORY_BYTES = 2 << 30

_WARM_UP = ((r"\frac{1}{2}", "0.5"), (r"-2 \le x < 3", "[-2, 3)"), ("x^2 - 1", "(x-1)(x+1)"))
"""What takes much longer the first time, when parts of sympy are loaded."""


class Grader:
    """Compares answers by math-verify, in `workers` processes.

    math-verify may hang, and its own time limit is an alarm that only the main thread can set. So
    a process that takes more than `limit_s` for an answer is killed, and that is the outcome.
    """

    def __init__(self, *, limit_s: float = 3.0, workers: int | None = None) -> None:
        """Start a process and have it grade what is known.

        Raises:
            MissingDependency: math-verify is not installed.
            ScorerUnavailable: no process starts, or it grades wrongly.
        """
        if importlib.util.find_spec("math_verify") is None:
            raise MissingDependency(
                "the math environment's scorer needs math-verify; install it with: "
                "pip install 'rlvr[train]'"
            )
        self.limit_s = limit_s
        # Two suffice for a batch, since an answer takes a millisecond.
        size = workers or min(2, os.cpu_count() or 1)
        self._pool = WorkerPool(self._start, size=size)
        self._stop = weakref.finalize(self, self._pool.close)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def grade(self, gold: str, answer: str) -> Grade:
        """What comes of comparing an answer with the gold one, both as LaTeX without a box.

        Never raises for an answer: a scorer that hangs or dies is an outcome too.
        """
        if len(answer) > LONGEST_ANSWER:
            return Grade(
                outcome=Outcome.UNPARSABLE,
                reason=f"the answer has {len(answer)} characters, more than {LONGEST_ANSWER}",
            )
        try:
            return self._ask(gold, answer)
        except RuntimeError as error:  # the processes do not start, or were stopped
            return Grade(outcome=Outcome.ERROR, reason=str(error))

    def close(self) -> None:
        """Stop the processes. It also happens when the grader is forgotten, or Python ends."""
        self._stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        return self._pool.pids

    def _ask(self, gold: str, answer: str) -> Grade:
        request = json.dumps({"gold": gold, "answer": answer}).encode()
        with self._pool.lend() as loan:
            started = time.perf_counter()
            try:
                reply = json.loads(loan.worker.ask(request, timeout_s=self.limit_s))
            except WorkerTimeout:
                return Grade(
                    outcome=Outcome.TIMEOUT,
                    reason=f"no result within {self.limit_s:g} s",
                    duration_s=time.perf_counter() - started,
                )
            except WorkerEnded as error:
                return Grade(
                    outcome=Outcome.ERROR,
                    reason=f"the scoring process failed: {error}",
                    duration_s=time.perf_counter() - started,
                )
            if loan.worker.answered < _TASKS_PER_PROCESS:
                loan.keep()
        return Grade(
            outcome=Outcome(reply["outcome"]),
            reason=reply["reason"],
            duration_s=time.perf_counter() - started,
        )

    def _check(self) -> None:
        expected = {"42": Outcome.RIGHT, "41": Outcome.WRONG, "": Outcome.UNPARSABLE}
        for answer, outcome in expected.items():
            given = self._ask("42", answer)
            if given.outcome is not outcome:
                raise ScorerUnavailable(
                    f"math-verify was asked whether {answer!r} is 42, and the outcome is "
                    f"{given.outcome} ({given.reason}) where {outcome} was expected; install the "
                    "version in lock.txt"
                )

    def _start(self) -> WorkerProcess:
        # A plain process and none of multiprocessing's: those run the training script's imports
        # once more, torch among them, and start it anew where it has no `__main__` guard.
        worker = WorkerProcess(
            [
                *(sys.executable, "-m", f"{__package__}.grading_worker"),
                *(str(_MEMORY_BYTES), str(os.getpid())),
            ],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            for gold, answer in _WARM_UP:
                asked = json.dumps({"gold": gold, "answer": answer}).encode()
                worker.ask(asked, timeout_s=_START_S)
        except (WorkerTimeout, WorkerEnded) as error:
            worker.stop()
            raise ScorerUnavailable(f"the scoring process does not start: {error}") from error
        return worker
