"""The process that grades.

    python -m rlvr.environments.math_python.core.grading_worker BYTES HOST

It takes one message for each answer and sends one back. Its memory is limited to BYTES, and it dies
with the process HOST that started it.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from typing import BinaryIO

from rlvr.environments.math_python.core.grading import Grade, Outcome, grade

_HEAD = struct.Struct(">I")
_PR_SET_PDEATHSIG = 1


def main(memory_bytes: int, host: int) -> None:
    """Answer until the host is gone."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the libraries print is no reply
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != host:  # it was gone before the kernel was asked
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    while message := _receive(requests):
        asked = json.loads(message)
        given = _grade(asked["gold"], asked["answer"])
        answer = json.dumps({"outcome": given.outcome, "reason": given.reason}).encode()
        replies.write(_HEAD.pack(len(answer)) + answer)
        replies.flush()


def _grade(gold: str, answer: str) -> Grade:
    try:
        return grade(gold, answer)
    except Exception as error:  # noqa: BLE001  # any exception of the scorer is its outcome
        return Grade(outcome=Outcome.ERROR, reason=f"{type(error).__name__}: {error}"[:2000])


def _receive(requests: BinaryIO) -> bytes | None:
    head = requests.read(_HEAD.size)
    return requests.read(_HEAD.unpack(head)[0]) if len(head) == _HEAD.size else None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
