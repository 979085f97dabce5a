"""A run behind a URL as a folder in this user's caches, whose files are fetched when they are read.

In the folder every object of the run has a file. One that is not fetched is empty, which no file of
a run is; a fetched one has the size and the time of its object, and is fetched again when these
change. What was read longest ago becomes empty again where the cache outgrows its bound. So the
folder can be deleted at any time, and several programs may use it at once.
"""

import contextlib
import hashlib
import os
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rlvr.errors import RemoteUnavailable, StoreError, StoreFull
from rlvr.remote.place import ObjectState, RemoteFolder
from rlvr.store import DEFAULT_RESERVE_BYTES, LocalStore

MOST_BYTES = 20 << 30
"""What all replicas in a cache take together, about."""

_LOOK_EVERY_S = 2.0
_IN_USE_S = 10.0
_AT_ONCE = 8
_AHEAD_FILES = 16
_AHEAD_BYTES = 64 << 20
_CLOCKS_S = 2.0


class Replica:
    """The run below a URL, in a folder of a cache. `objects` is what the last listing showed."""

    def __init__(
        self,
        remote: RemoteFolder,
        cache: Path,
        *,
        objects: Mapping[str, ObjectState] | None = None,
        most_bytes: int = MOST_BYTES,
        reserve_bytes: int = DEFAULT_RESERVE_BYTES,
        look_every_s: float = _LOOK_EVERY_S,
        in_use_s: float = _IN_USE_S,
    ) -> None:
        """Make the folder.

        Raises:
            RemoteUnavailable: the place can't be listed.
            StoreError: the cache can't be written.
        """
        self.remote = remote
        self.objects: Mapping[str, ObjectState] = {}
        key = hashlib.sha256(remote.url.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.folder = cache / key / (remote.url.rpartition("/")[2] or "run")
        self._cache = cache
        self._store = LocalStore(self.folder, reserve_bytes=reserve_bytes)
        self._most_bytes = most_bytes
        self._look_every_s = look_every_s
        self._in_use_s = in_use_s
        self._looked_at = 0.0
        self._misses: Counter[str] = Counter()
        self._folders: Mapping[str, Sequence[str]] = {}
        self._held = sum(size for _, _, size in _fetched(cache))
        self._take(remote.list() if objects is None else objects)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process uses the same folder, and need not list the place anew."""
        opened = partial(
            Replica,
            objects=self.objects,
            most_bytes=self._most_bytes,
            reserve_bytes=self._store.reserve_bytes,
            look_every_s=self._look_every_s,
            in_use_s=self._in_use_s,
        )
        return opened, (self.remote, self._cache)

    @property
    def size_bytes(self) -> int:
        """What the run takes where it is."""
        return sum(state.size or 0 for state in self.objects.values())

    def look(self) -> None:
        """Bring the folder up to what is behind the URL now, unless that was just done.

        Raises:
            RemoteUnavailable: the place can't be listed.
        """
        if time.monotonic() - self._looked_at >= self._look_every_s:
            self._take(self.remote.list())

    def fetch(self, path: Path) -> None:
        """Have the file there that is to be read. Of a folder that is read on, more at a time.

        Raises:
            FileNotFoundError: it is gone; the folder is up to date then.
            RemoteUnavailable: the place can't be reached, or the cache can't take it.
        """
        name = self._name(path)
        if name not in self.objects:
            return
        if self._has(path):
            _touch(path)
            return
        self._misses[name.rpartition("/")[0]] += 1
        if self._fetch_all(self._ahead(name)):
            self._bound(keep=path)
            return
        self._take(self.remote.list())
        raise FileNotFoundError(f"{self.remote.shown}/{name} is gone")

    def shown(self, path: Path) -> str:
        """The URL of a file's object."""
        return f"{self.remote.shown}/{self._name(path)}"

    def _ahead(self, name: str) -> list[str]:
        """The file and those after it in its folder: twice as many at each miss."""
        folder = name.rpartition("/")[0]
        beside = self._folders[folder]
        most = min(2 ** (self._misses[folder] - 1), _AHEAD_FILES)
        chosen, size = [name], self.objects[name].size or 0
        for other in beside[bisect_right(beside, name) :]:
            size += self.objects[other].size or 0
            if len(chosen) == most or size > min(_AHEAD_BYTES, self._most_bytes // 2):
                break
            if not self._has(self.folder / other):
                chosen.append(other)
        return chosen

    def _fetch_all(self, names: Sequence[str]) -> bool:
        """Fetch files, making room on a full disk. False where the object of the first is gone.

        Raises:
            RemoteUnavailable: as `fetch` says.
        """
        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                first, *_ = pool.map(self._fetch, names)
                return first
        except StoreFull:
            self._give_up(down_to=0, keep=self.folder / names[0])
        try:
            return self._fetch(names[0])
        except StoreFull as error:
            raise self._refused(names[0], error) from error

    def _fetch(self, name: str) -> bool:
        """Fetch one file. False where its object is gone.

        Raises:
            StoreFull: the cache's disk has no room for it.
            RemoteUnavailable: as `fetch` says.
        """
        state = self.objects[name]
        gone = False

        def write(path: Path) -> None:
            nonlocal gone
            try:
                self.remote.download(name, path)
            except FileNotFoundError:
                gone = True
                return
            if state.modified is not None:
                os.utime(path, (time.time(), state.modified))

        try:
            self._store.commit_stream(name, write, state.size or 0)
        except (RemoteUnavailable, StoreFull):
            raise
        except OSError as error:
            raise self._refused(name, error) from error
        self._held += 0 if gone else (state.size or 0)
        return not gone

    def _refused(self, name: str, error: OSError) -> RemoteUnavailable:
        return RemoteUnavailable(
            f"the cache {self._cache} can't take {self.remote.shown}/{name}: {error} Or set"
            " XDG_CACHE_HOME to a folder on a larger disk."
        )

    def _take(self, objects: Mapping[str, ObjectState]) -> None:
        """Let the folder have the files of these objects, and no others."""
        was = self.objects
        self.objects = {name: state for name, state in objects.items() if _is_ours(name)}
        try:
            for name in self._present() - self.objects.keys():
                (self.folder / name).unlink(missing_ok=True)
            for name, state in self.objects.items():
                path = self.folder / name
                changed = was.get(name) != state and not self._has(path)
                if changed or (name.endswith(".json") and state.modified is None):
                    _empty(path)
        except OSError as error:
            raise StoreError(
                f"the cache {self._cache} can't be written ({error.strerror or error}). Set"
                " XDG_CACHE_HOME to a folder that this user may write."
            ) from error
        folders: dict[str, list[str]] = {}
        for name in sorted(self.objects):
            folders.setdefault(name.rpartition("/")[0], []).append(name)
        self._folders = folders
        self._looked_at = time.monotonic()

    def _present(self) -> set[str]:
        files = (Path(root) / file for root, _, names in os.walk(self.folder) for file in names)
        return {self._name(path) for path in files if not path.name.startswith(".")}

    def _has(self, path: Path) -> bool:
        """Whether the file is that of its object.

        A small file that was fetched within two seconds of its change may be the older one of two
        that look alike.
        """
        try:
            found = path.stat()
        except OSError:
            return False
        state = self.objects[self._name(path)]
        if not found.st_size or (state.size is not None and found.st_size != state.size):
            return False
        if state.modified is None:
            return True
        if path.suffix == ".json" and found.st_ctime - state.modified < _CLOCKS_S:
            return False
        return abs(found.st_mtime - state.modified) < 1e-3

    def _bound(self, *, keep: Path) -> None:
        """Empty the files that were read longest ago, of any replica, beyond the bound."""
        if self._held > self._most_bytes:
            self._give_up(down_to=int(self._most_bytes * 0.8), keep=keep)

    def _give_up(self, *, down_to: int, keep: Path) -> None:
        files = sorted(_fetched(self._cache))
        self._held = sum(size for _, _, size in files)
        for read_at, path, size in files:
            if self._held <= down_to or time.time() - read_at < self._in_use_s:
                return
            if path != keep:
                with contextlib.suppress(OSError):
                    _empty(path)
                    self._held -= size

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _is_ours(name: str) -> bool:
    """Whether an object can be a file of a run, and no path out of the folder."""
    parts = name.split("/")
    return all(part and not part.startswith(".") and "\0" not in part for part in parts)


def _empty(path: Path) -> None:
    """Put an empty file in the place; who reads the one that was there goes on reading it."""
    _make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns():x}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    temporary.replace(path)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _touch(path: Path) -> None:
    """Note that a file is read; not of a small one, whose time of fetching matters."""
    if path.suffix != ".json":
        with contextlib.suppress(OSError):
            os.utime(path, (time.time(), path.stat().st_mtime))


def _fetched(cache: Path) -> Iterator[tuple[float, Path, int]]:
    """When each fetched file of a cache was last read, the file, and its size."""
    for root, _, names in os.walk(cache):
        for name in names:
            path = Path(root) / name
            with contextlib.suppress(OSError):
                state = path.stat()
                if state.st_size and not name.startswith("."):
                    yield state.st_atime, path, state.st_size
