"""The sandbox proper: guests in bubblewrap, one call at a time each."""

import base64
import json
import os
import platform
import shutil
import signal
import sys
import weakref
from collections.abc import Sequence
from typing import Any

from rlvr.errors import SandboxUnavailable
from rlvr.sandbox.command import INSTALL, bubblewrap_version, command, installed
from rlvr.sandbox.execution import Execution, Limits, Output, ran_out_of_memory
from rlvr.sandbox.seccomp import call_filter, zygote_filter
from rlvr.sandbox.selfcheck import check
from rlvr.workers import WorkerEnded, WorkerPool, WorkerProcess, WorkerTimeout

PACKAGES = ("numpy", "sympy", "mpmath")
_START_S = 60.0
_GRACE_S = 2.0
_LARGEST_CODE = 1 << 20


class BubblewrapSandbox:
    """Runs code in bubblewrap, each call in a process of its own with an untouched scratch folder.

    A guest loads `packages` once and forks for each call; one whose scratch folder was touched is
    replaced. `workers` guests at most run at a time; None takes one per processor, up to eight.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        packages: Sequence[str] | None = None,
        workers: int | None = None,
        program: str = "bwrap",
    ) -> None:
        """Start the first guest, and try escapes on it.

        `packages` None: numpy, sympy and mpmath, where they are installed.

        Raises:
            SandboxUnavailable: bubblewrap is missing, too old or can't run here, or an attempt to
                escape succeeded.
        """
        if sys.platform != "linux":
            raise SandboxUnavailable(f"the sandbox runs on Linux, not on {sys.platform}. {INSTALL}")
        self.limits = limits or Limits()
        self.packages = tuple(installed(PACKAGES) if packages is None else packages)
        self._program = shutil.which(program) or program
        self.version = bubblewrap_version(self._program)
        size = workers or min(8, len(os.sched_getaffinity(0)))
        self._pool = WorkerPool(self._start, size=size)
        self._stop = weakref.finalize(self, self._pool.close)
        try:
            check(self)
        except BaseException:
            self.close()
            raise

    def run(self, code: str) -> Execution:
        """Run the code; see `Sandbox.run`."""
        if len(code) > _LARGEST_CODE:
            return _unanswered(f"the code has {len(code)} characters, more than {_LARGEST_CODE}")
        request = json.dumps({"code": code}).encode()
        with self._pool.lend() as loan:
            try:
                answer = loan.worker.ask(request, timeout_s=self.limits.wall_s + _GRACE_S)
                reply = json.loads(answer)
            except WorkerTimeout:
                return _unanswered("the sandbox did not answer", timed_out=True)
            except WorkerEnded as error:
                return _unanswered(f"the sandbox ended: {error}")
            if not reply["spent"]:
                loan.keep()
        return _execution(reply)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the guests, seen from outside."""
        return self._pool.pids

    def close(self) -> None:
        """Stop every guest. It also happens when the sandbox is forgotten, or Python ends."""
        self._stop()

    def _start(self) -> WorkerProcess:
        machine = platform.machine()
        read_end, write_end = os.pipe()
        try:
            with os.fdopen(write_end, "wb") as filter_:
                filter_.write(zygote_filter(machine))
            argv = command(
                self._program,
                limits=self.limits,
                packages=self.packages,
                filter_descriptor=read_end,
            )
            guest = WorkerProcess(argv, env={}, pass_fds=[read_end])
        finally:
            os.close(read_end)
        settings = {
            "wall_s": self.limits.wall_s,
            "output_bytes": self.limits.output_bytes,
            "rlimits": self.limits.rlimits,
            "filter": base64.b64encode(call_filter(machine)).decode(),
            "preload": self.packages,
        }
        try:
            guest.ask(json.dumps(settings).encode(), timeout_s=_START_S)
        except (WorkerTimeout, WorkerEnded) as error:
            guest.stop()
            raise SandboxUnavailable(f"the sandbox does not start: {error}. {INSTALL}") from error
        return guest


def _execution(reply: dict[str, Any]) -> Execution:
    stdout, stderr = (_output(reply[name]) for name in ("stdout", "stderr"))
    ended_by = signal.Signals(reply["signal"]).name if reply["signal"] is not None else None
    timed_out = bool(reply["timed_out"])
    return Execution(
        stdout=stdout,
        stderr=stderr,
        exit_status=reply["exit_status"],
        signal=ended_by,
        timed_out=timed_out,
        memory_exceeded=ran_out_of_memory(stderr, signal=ended_by, timed_out=timed_out),
        duration_s=reply["duration_s"],
    )


def _output(sent: dict[str, Any]) -> Output:
    return Output.of(
        base64.b64decode(sent["head"]), base64.b64decode(sent["tail"]), int(sent["size"])
    )


def _unanswered(why: str, *, timed_out: bool = False) -> Execution:
    return Execution(
        stdout=Output(),
        stderr=Output(),
        exit_status=None,
        timed_out=timed_out,
        duration_s=0.0,
        failure=why,
    )
