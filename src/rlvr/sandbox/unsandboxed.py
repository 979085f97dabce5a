"""Python without a sandbox, for those who accept the risk in so many words."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from rlvr.sandbox.execution import Execution, Limits, Output, ran_out_of_memory

_START = """\
import json, resource, sys
limits, code = json.loads(sys.argv.pop()), open(sys.argv.pop(), encoding="utf-8").read()
for number, value in limits.items():
    resource.setrlimit(int(number), (value, value))
exec(compile(code, "<python>", "exec"), {"__name__": "__main__"})
"""


class UnsandboxedPython:
    """Runs code as the user who trains: it may read, write and send whatever he may.

    The limits hold, a fresh folder is the working directory, and the environment is empty. None of
    these keeps out code that means harm.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def run(self, code: str) -> Execution:
        """Run the code; see `Sandbox.run`."""
        with (
            tempfile.TemporaryDirectory(prefix="rlvr-python-") as folder,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            program = Path(folder, "code")
            program.write_text(code, encoding="utf-8", errors="backslashreplace")
            scratch = Path(folder, "scratch")
            scratch.mkdir()
            argv = [sys.executable, "-I", "-X", "utf8", "-c", _START, str(program)]
            started = time.monotonic()
            process = subprocess.Popen(
                [*argv, json.dumps(self.limits.rlimits)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={},
                cwd=scratch,
                start_new_session=True,
            )
            timed_out = _wait(process, self.limits.wall_s)
            duration_s = time.monotonic() - started
            stdout, stderr = (_output(file, self.limits.output_bytes) for file in (out, err))
        ended_by = signal.Signals(-process.returncode).name if process.returncode < 0 else None
        return Execution(
            stdout=stdout,
            stderr=stderr,
            exit_status=process.returncode if ended_by is None else None,
            signal=ended_by,
            timed_out=timed_out,
            memory_exceeded=ran_out_of_memory(stderr, signal=ended_by, timed_out=timed_out),
            duration_s=duration_s,
        )

    def close(self) -> None:
        """Do nothing: no process outlives its call, unless it left its group."""


def _wait(process: "subprocess.Popen[bytes]", limit_s: float) -> bool:
    """Wait for the process, then kill what is left of its group. True if the time was up."""
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return True
    else:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _output(file: IO[bytes], limit: int) -> Output:
    size = file.seek(0, os.SEEK_END)
    half = limit // 2
    file.seek(0)
    head = file.read(half if size > limit else size)
    file.seek(max(len(head), size - half))
    return Output.of(head, file.read(), size)
