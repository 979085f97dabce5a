"""Threads beside training."""

import os
import sys
import threading

_NICENESS = 10


def step_back() -> None:
    """Let the calling thread run only where nothing else wants to."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
