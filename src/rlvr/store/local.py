"""A store in a local folder: temporary file, fsync, rename, fsync of the folder."""

import contextlib
import itertools
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from rlvr.errors import StoreError, StoreFull
from rlvr.store.process import host_name, process_mark

DEFAULT_RESERVE_BYTES = 1 << 30


class LocalStore:
    """Files below a folder, readable by their owner only.

    `reserve_bytes` of free disk are left for the checkpoints: a write that would go below them is
    refused with StoreFull.
    """

    def __init__(self, folder: str | Path, *, reserve_bytes: int = DEFAULT_RESERVE_BYTES) -> None:
        self.folder = Path(folder)
        self.reserve_bytes = reserve_bytes
        self._serial = itertools.count()

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file so that a reader sees the old one or the new one, whole; durable after.

        Raises:
            StoreFull: free space would fall below the reserve.
            StoreError: the disk refused.
        """
        target = self.folder / name
        temporary = target.with_name(f".{target.name}.{self._suffix()}.tmp")
        try:
            self._prepare(target, len(payload))
            _write(temporary, payload)
            temporary.replace(target)
            _sync(target.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise _explained(target, error) from error

    def create(self, name: str, payload: bytes) -> bool:
        """Claim a name for good and write the file; False where somebody else holds the name.

        The name is claimed by an empty file, since not every file system has hard links.

        Raises:
            StoreFull: free space would fall below the reserve.
            StoreError: the disk refused.
        """
        target = self.folder / name
        try:
            self._prepare(target, len(payload))
            if not _claim(target):
                return False
        except OSError as error:
            raise _explained(target, error) from error
        self.commit(name, payload)
        return True

    def commit_stream(self, name: str, write: Callable[[Path], None], size: int) -> None:
        """Commit a file that `write` makes at the path that it gets, of about `size` bytes.

        The name of the temporary file tells whose it is, so that others know when it is left over.

        Raises:
            StoreFull: free space would fall below the reserve.
            StoreError: the disk refused.
        """
        target = self.folder / name
        mark = f"{os.getpid()}-{process_mark(os.getpid())}-{next(self._serial)}"
        temporary = target.with_name(f".{target.name}.{mark}.{host_name()}.tmp")
        try:
            self._prepare(target, size)
            _write(temporary, b"")
            write(temporary)
            _sync(temporary)
            temporary.replace(target)
            _sync(target.parent)
        except OSError as error:
            raise _explained(target, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error.

        Raises:
            StoreError: the disk refused.
        """
        target = self.folder / name
        try:
            target.unlink(missing_ok=True)
        except OSError as error:
            raise _explained(target, error) from error

    def _prepare(self, target: Path, size: int) -> None:
        _make_folder(target.parent)
        free = shutil.disk_usage(target.parent).free
        if free - size < self.reserve_bytes:
            raise StoreFull(
                f"{target.parent} has {free >> 20} MiB free, and writing {size >> 10} KiB would "
                f"leave less than the reserve of {self.reserve_bytes >> 20} MiB that is kept for "
                "checkpoints. Free some space, or lower the reserve (reserve_bytes)."
            )

    def _suffix(self) -> str:
        return f"{os.getpid()}-{threading.get_ident():x}-{next(self._serial)}"


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _claim(path: Path) -> bool:
    try:
        _write(path, b"")
    except FileExistsError:
        return False
    return True


def _write(path: Path, payload: bytes) -> None:
    """Write a file that does not exist yet; FileExistsError where it does."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        view = memoryview(payload)
        while view:
            view = view[file.write(view) :]
        os.fsync(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(target: Path, error: OSError) -> StoreError:
    if isinstance(error, StoreError):
        return error
    return StoreError(
        f"{target} could not be written ({error.strerror or error}). Check that its disk is there, "
        "has space, and is writable by this user."
    )
