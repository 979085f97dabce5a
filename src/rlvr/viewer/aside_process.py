"""The process that answers one question of a whole run.

    python -m rlvr.viewer.aside_process

It reads a function and its arguments from its standard input, writes what the function gives to its
standard output, and ends. Its input stays open for as long as somebody awaits the answer: when the
viewer is gone, killed too, the input ends, and this process with it.
"""

import os
import pickle
import struct
import threading
from typing import BinaryIO

from rlvr.viewer.memory import spare_memory

_HEAD = struct.Struct(">I")
_NICE = 5


def main() -> None:
    """Answer one question, at a lower priority than the pages."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.nice(_NICE)
    spare_memory()
    (length,) = _HEAD.unpack(requests.read(_HEAD.size))
    request = requests.read(length)
    threading.Thread(target=_end_with, args=(requests,), name="rlvr-asker", daemon=True).start()
    from rlvr.viewer.aside import reply_to

    question, arguments = pickle.loads(request)
    reply = pickle.dumps(reply_to(question, arguments))
    replies.write(_HEAD.pack(len(reply)) + reply)
    replies.flush()
    os._exit(0)  # nothing is left to be put in order, and the large tables take their time


def _end_with(requests: BinaryIO) -> None:
    """End in the middle of the work when nobody awaits the answer any more."""
    requests.read()
    os._exit(1)


if __name__ == "__main__":
    main()
