"""Which viewers of this user run, so that other commands can print the URLs of evidence."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rlvr.utils.caches import cache_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A viewer: its process, its port (None on a Unix socket), and what it shows."""

    pid: int
    port: int | None
    root: str


@contextmanager
def announced(standing: Standing, folder: Path | None = None) -> Iterator[None]:
    """Let others of this user know of the viewer while it runs.

    A cache that can't be written only leaves the note out.
    """
    path = (folder or _folder()) / f"{standing.pid}.json"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(json.dumps(asdict(standing)))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def standing_of(place: str, folder: Path | None = None) -> Standing | None:
    """A viewer of this user that runs, has a port, and shows the run at that place."""
    for path in sorted((folder or _folder()).glob("*.json")):
        try:
            standing = Standing(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if not _lives(standing.pid):
            with suppress(OSError):
                path.unlink()
        elif standing.port is not None and _shows(standing.root, place):
            return standing
    return None


def _folder() -> Path:
    return cache_folder() / "viewers"


def _shows(root: str, place: str) -> bool:
    return place == root or place.startswith(root.rstrip("/") + "/")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
