"""Where the index of a run is kept: in this user's caches, a temporary file, or memory.

The file is named by the run's folder (its real path and inode), so a run that was moved, copied, or
made anew in the same place has another one. Its name holds no path; the database says of which
folder it is, and files of folders that are gone are removed.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rlvr.runs.search.database import VERSION, connect, prepare, source_of

MOST_BYTES = 50 << 30
"""The indexes of all runs together; those that were used longest ago go first."""

_BESIDE = ("", "-wal", "-shm", "-journal")


def index_path(caches: Path, folder: Path) -> Path:
    """The file for the run in a folder."""
    real = folder.resolve()
    try:
        inode = real.stat().st_ino
    except OSError:
        inode = 0
    key = hashlib.sha256(f"{VERSION}\0{real}\0{inode}".encode("utf-8", "surrogateescape"))
    return caches / "search" / f"{key.hexdigest()[:24]}.sqlite"


def remove(path: Path) -> None:
    """Remove a database, if it is there."""
    for suffix in _BESIDE:
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def forget(caches: Path, folder: Path) -> int:
    """Remove the index of a run and those of runs that are gone; the bytes that are free now."""
    path = index_path(caches, folder)
    before = sum(map(_bytes, _databases(path.parent)))
    remove(path)
    _tidy(path)
    return before - sum(map(_bytes, _databases(path.parent)))


@contextmanager
def kept(
    caches: Path, folder: Path, bring_up: Callable[[sqlite3.Connection], bool], note: list[str]
) -> Iterator[sqlite3.Connection]:
    """The database of a run after `bring_up`, which says False where it is to be made anew.

    What is damaged, of another version, or largely dead is made anew once. Where the cache can't be
    written a temporary file is used, and then memory; `note` says so.
    """
    path = index_path(caches, folder)
    with contextlib.ExitStack() as stack:
        try:
            _private(path.parent)
            connection = _opened(path, folder, bring_up, note)
            stack.callback(connection.close)
            _tidy(path)
        except (OSError, sqlite3.OperationalError) as error:
            note.append(f"the cache {path.parent} can't be used ({error}); the index is temporary.")
            connection = _temporary(folder, bring_up, note, stack)
        yield connection


def _temporary(
    folder: Path,
    bring_up: Callable[[sqlite3.Connection], bool],
    note: list[str],
    stack: contextlib.ExitStack,
) -> sqlite3.Connection:
    try:
        place = Path(tempfile.mkdtemp(prefix="rlvr-search-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        connection = _opened(place / "index.sqlite", folder, bring_up, note)
    except (OSError, sqlite3.OperationalError) as error:
        note.append(f"no temporary file either ({error}); the index is in memory.")
        connection = connect(":memory:")
        prepare(connection, str(folder))
        bring_up(connection)
    stack.callback(connection.close)
    return connection


def _opened(
    path: Path,
    folder: Path,
    bring_up: Callable[[sqlite3.Connection], bool],
    note: list[str],
) -> sqlite3.Connection:
    """The database at the path, made anew once if need be.

    Raises:
        OSError, sqlite3.Error: it can't be written, or is damaged again.
    """
    existed = path.exists()
    try:
        connection = _brought_up(path, folder, bring_up)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        note.append(f"the index was damaged ({error}) and is made anew.")
    else:
        if connection is not None:
            return connection
        note.append("the index held too much of what is gone and is made anew.")
    if not existed:
        raise OSError(f"a new database at {path} can't be used")
    remove(path)
    connection = _brought_up(path, folder, bring_up)
    if connection is None:
        raise OSError(f"a new database at {path} can't be used")
    return connection


def _brought_up(
    path: Path, folder: Path, bring_up: Callable[[sqlite3.Connection], bool]
) -> sqlite3.Connection | None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    os.utime(path)
    connection = connect(path)
    try:
        whole = prepare(connection, str(folder.resolve())) and bring_up(connection)
    except BaseException:
        connection.close()
        raise
    if whole:
        return connection
    connection.close()
    return None


def _private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _tidy(keep: Path) -> None:
    """Remove databases of runs that are gone, and the oldest beyond MOST_BYTES."""
    others = []
    for path in _databases(keep.parent):
        source = None if path == keep else source_of(path)
        if source is not None and not Path(source).is_dir():
            remove(path)
        elif path != keep:
            others.append(path)
    held = _bytes(keep)
    for path in sorted(others, key=_used_at, reverse=True):
        held += _bytes(path)
        if held > MOST_BYTES:
            remove(path)


def _databases(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sqlite"))


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _bytes(path: Path) -> int:
    total = 0
    for suffix in _BESIDE:
        with contextlib.suppress(OSError):
            total += path.with_name(path.name + suffix).stat().st_size
    return total
