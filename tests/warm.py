"""A Python whose processes start with the heavy libraries loaded.

A training in a process of its own spends nine of its ten seconds importing torch, transformers,
trl and verifiers. `warm_python()` is an executable that takes what `python` takes (a script, -m or
-c), and runs it in a fork of a process that has imported them once. rlvr itself is not among them:
each process imports it anew. What a person types first is still tested with `sys.executable`, at
least once for each script and launcher.

The executable hands its arguments, environment, folder and open streams to that process, and ends
as the fork ends, also by a signal. If it is killed itself, the fork and its children are.
"""

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SERVER = HERE / "warm_server.py"
CLIENT = HERE / "warm_client.py"
START_S = 200


@functools.cache
def warm_python():
    """The path of the executable; its forks' origin is started once and ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="rlvr-warm-")
    socket = Path(folder.name) / "socket"
    server = subprocess.Popen(
        [sys.executable, str(SERVER), str(socket)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
             "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    atexit.register(_end, server, folder)
    assert server.stdout.readline() == b"ready\n"
    executable = Path(folder.name) / "python"
    executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{CLIENT}" "{socket}" "$@"\n')
    executable.chmod(0o700)
    return str(executable)


def warm_ranks():
    """The setting by which torchrun and accelerate start their processes warm."""
    return {"PYTHON_EXEC": warm_python()}


def _end(server, folder):
    server.stdin.close()  # which it waits for
    server.wait(timeout=START_S)
    folder.cleanup()
