"""Imports that can be made again, kept for the next look at the same files."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from rlvr.errors import StoreError
from rlvr.interchange.importing import Progress, import_source
from rlvr.interchange.recognise import Recognised
from rlvr.interchange.report import ImportReport

MOST_IMPORTS = 8
MOST_BYTES = 20 << 30
_VERSION = "1"
"""Part of every key: another way of reading makes every import anew."""


class Cache:
    """A folder of imports, each under a key of path, size and time of its files.

    It holds at most MOST_IMPORTS and, beside the newest, no more than MOST_BYTES: those that were
    looked at longest ago go first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, found: Recognised) -> Path | None:
        """The folder of an import of the same files as they are now, None without one."""
        folder = self._folder / _key(found)
        if not folder.is_dir():
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return folder

    def add(
        self, found: Recognised, *, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> tuple[ImportReport, Path]:
        """Import, and keep it under its key once it is whole; the report and the folder.

        Raises:
            RunNotFound: no rollout can be read.
            StoreError: the cache can't be written.
        """
        folder = self._folder / _key(found)
        begun = self._folder / f".{folder.name}-{secrets.token_hex(4)}"
        try:
            report = import_source(found, begun, on_progress=on_progress)
            with contextlib.suppress(FileExistsError):
                begun.rename(folder)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"the cache {self._folder} can't be written ({error.strerror or error}); set"
                " XDG_CACHE_HOME to another folder, or import with `rlvr import`."
            ) from error
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        self._tidy(keep=folder)
        return report, folder

    def _tidy(self, *, keep: Path) -> None:
        known = [entry for entry in self._folder.iterdir() if entry.is_dir() and entry != keep]
        known.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        held = 0
        for place, entry in enumerate(known, 1):
            held += _bytes(entry)
            if place >= MOST_IMPORTS or held > MOST_BYTES:
                shutil.rmtree(entry, ignore_errors=True)


def _key(found: Recognised) -> str:
    digest = hashlib.sha256(
        f"{_VERSION}\0{found.format.name}\0{found.source.path.resolve()}".encode()
    )
    for file in found.source.files:
        try:
            stat = file.stat()
            digest.update(f"\0{file}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
        except OSError:
            digest.update(f"\0{file}\0unreadable".encode())
    return f"{found.format.name}-{digest.hexdigest()[:24]}"


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
