"""Where a user's caches are: what a program can make again."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The folder of rlvr's caches on this platform; XDG_CACHE_HOME decides if set."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen) / "rlvr"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rlvr"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "rlvr" / "Cache"
    return Path.home() / ".cache" / "rlvr"
