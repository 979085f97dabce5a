"""The memory of a process that stays for hours: what was used once goes back to the system."""

import ctypes
import os
import platform
import sys
from importlib.abc import MetaPathFinder

_M_ARENA_MAX = -8
_ARENAS = 2


def spare_memory() -> None:
    """Let no library keep memory for later. Call it before pyarrow is imported, or threads start.

    Arrow keeps what it freed in a pool of its own, which only the environment chooses, and glibc in
    one for each thread. And pyarrow imports pandas, which nothing here asks for, to look whether a
    value is of its kind: 40 MB, and half a second.
    """
    sys.meta_path.insert(0, _WithoutPandas())
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if _has_glibc():
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return to the system what is free by now: after an index was made 30 MB of 100,000
    rollouts."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


class _WithoutPandas(MetaPathFinder):
    """Finds no pandas, as where it is not installed."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("the viewer does without pandas", name=fullname)


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
