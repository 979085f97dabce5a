"""Copying a run to a URL, so that who reads there finds a whole run at any moment.

What is copied when: the run's own settings first, then trajectories, the compacted ones before
those they hide, then what refers to them, and counts last, as they were before the files were
listed. An object is removed only where a compacted file that is here has its rows; whatever else is
gone here stays there, since it may be the only copy.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rlvr.errors import ConfigurationError, RemoteUnavailable
from rlvr.remote.place import ObjectState, RemoteFolder, local_path
from rlvr.store import (
    ANNOTATIONS_FOLDER,
    ATTEMPTS_FOLDER,
    BLOBS_FOLDER,
    COMPACTED_FOLDER,
    METRICS_FOLDER,
    RANKS_FOLDER,
    RETENTION_FILE,
    RUN_FILE,
    TRAJECTORIES_FOLDER,
    VOCABULARY_FILE,
)
from rlvr.store.layers import read_segments
from rlvr.store.opened import UNREADABLE

_ORDER = (
    RUN_FILE,
    VOCABULARY_FILE,
    f"{ATTEMPTS_FOLDER}/",
    RETENTION_FILE,
    f"{BLOBS_FOLDER}/",
    f"{COMPACTED_FOLDER}/",
    f"{TRAJECTORIES_FOLDER}/",
    f"{ANNOTATIONS_FOLDER}/",
    f"{METRICS_FOLDER}/",
    f"{RANKS_FOLDER}/",
)
"""What is copied, in this order; nothing else of a run's folder is."""

_Seen = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A finished file of the run: its name, and what tells a replaced one from it."""

    name: str
    size: int
    seen: _Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPlan:
    """What a mirror lacks. `copies` and `removals` are in the order in which they are safe.

    counts: the files in which processes count, with their bytes of a moment before the others were
    listed. kept: objects whose file is gone here, and that may be the only copy.
    """

    copies: tuple[LocalFile, ...] = ()
    counts: tuple[tuple[str, bytes], ...] = ()
    removals: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def files(self) -> int:
        """How many objects are to be written."""
        return len(self.copies) + len(self.counts)

    @property
    def bytes(self) -> int:
        """Their bytes."""
        return sum(file.size for file in self.copies) + sum(len(b) for _, b in self.counts)

    def with_more(self, later: "MirrorPlan") -> "MirrorPlan":
        """What both did; `kept` is that of the later one."""
        return MirrorPlan(
            copies=self.copies + later.copies,
            counts=self.counts + later.counts,
            removals=self.removals + later.removals,
            kept=later.kept,
        )


@dataclass(slots=True)
class _Known:
    """What is known of the mirror: what it holds, and which states of files were written there."""

    objects: dict[str, ObjectState] = field(default_factory=dict)
    written: dict[str, _Seen] = field(default_factory=dict)
    small: dict[str, bytes] = field(default_factory=dict)


class Mirroring:
    """Brings the mirror of one run up to its folder, as often as it is asked.

    It needs no memory of what another process copied: a file that never changes is known by its
    name and size, a small one that is rewritten by its bytes.
    """

    def __init__(
        self, folder: Path, remote: RemoteFolder, *, mine: Callable[[str], bool] = lambda _: True
    ) -> None:
        """`mine` chooses the files, by name, that this process brings there; all, unless given."""
        self.folder = folder
        self.remote = remote
        self._mine = mine
        self._known: _Known | None = None
        self._last = _Known()
        self._segments: dict[str, tuple[_Seen | None, frozenset[str]]] = {}

    def forget(self) -> None:
        """Ask the mirror anew what it holds, after an outage and before the last look."""
        self._last, self._known = self._known or self._last, None

    def behind(self) -> tuple[int, int]:
        """How many files the mirror lacks, and their bytes, by what was last known of it."""
        known = self._known or self._last
        files = list(self._files())
        hidden = self._hidden(files)
        lacks = [file.size for file in files if _lacks(file, known) and file.name not in hidden]
        return len(lacks), sum(lacks)

    def plan(self) -> MirrorPlan:
        """What is to be done now; changes nothing.

        Raises:
            RemoteUnavailable: the mirror can't be listed.
        """
        if self._known is None:
            self._known = self._last = _Known(objects=self.remote.list())
        known = self._known
        counts = tuple(self._changed_counts(known))
        files = list(self._files())
        hidden = self._hidden(files)
        copies = [
            file
            for file in files
            if not file.name.startswith(f"{RANKS_FOLDER}/")
            and (file.name in known.objects or file.name not in hidden)
            and self._differs(file, known)
        ]
        present = {file.name for file in files}
        gone = [name for name in sorted(known.objects) if self._owns(name) and name not in present]
        removals = tuple(name for name in gone if self._let_go(name, hidden, present))
        return MirrorPlan(
            copies=tuple(sorted(copies, key=lambda file: (_place(file.name), file.name))),
            counts=counts,
            removals=removals,
            kept=tuple(sorted(set(gone) - set(removals))),
        )

    def carry_out(
        self, plan: MirrorPlan, on_progress: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """Do what was planned; files that went meanwhile are passed over.

        `on_progress` hears of the files and bytes written so far.

        Raises:
            RemoteUnavailable: the mirror can't be written. What was written is whole, and a plan
                that is made again has the rest.
        """
        assert self._known is not None
        files = size = 0
        try:
            for file in plan.copies:
                self._copy(file, self._known)
                files, size = files + 1, size + file.size
                on_progress(files, size)
            for name, payload in plan.counts:
                self.remote.write(name, payload)
                self._known.small[name] = payload
                self._known.objects[name] = ObjectState(size=len(payload), modified=None)
                files, size = files + 1, size + len(payload)
                on_progress(files, size)
            for name in plan.removals:
                self.remote.remove(name)
                self._known.objects.pop(name, None)
        except RemoteUnavailable:
            self.forget()
            raise

    def _copy(self, file: LocalFile, known: _Known) -> None:
        try:
            self.remote.upload(self.folder / file.name, file.name)
        except FileNotFoundError:
            return
        known.written[file.name] = file.seen
        known.objects[file.name] = ObjectState(size=file.size, modified=None)

    def _owns(self, name: str) -> bool:
        return _is_ours(name) and self._mine(name)

    def _files(self) -> Iterator[LocalFile]:
        """The finished files. One that is empty is being claimed."""
        for part in _ORDER:
            root = self.folder / part
            for path in sorted(root.rglob("*")) if part.endswith("/") else [root]:
                try:
                    state = path.stat()
                except OSError:
                    continue
                name = path.relative_to(self.folder).as_posix()
                ours = not path.name.startswith(".") and self._mine(name)
                if ours and state.st_size and path.is_file():
                    seen = (state.st_ino, state.st_mtime_ns, state.st_size)
                    yield LocalFile(name=name, size=state.st_size, seen=seen)

    def _changed_counts(self, known: _Known) -> Iterator[tuple[str, bytes]]:
        for path in sorted((self.folder / RANKS_FOLDER).glob("[!.]*.json")):
            name = path.relative_to(self.folder).as_posix()
            payload = path.read_bytes()
            if payload and self._mine(name) and self._small(name, known) != payload:
                yield name, payload

    def _small(self, name: str, known: _Known) -> bytes | None:
        """The bytes of a small object; None where there is none."""
        if name not in known.objects:
            return None
        if name not in known.small:
            try:
                known.small[name] = self.remote.read(name)
            except FileNotFoundError:
                return None
        return known.small[name]

    def _differs(self, file: LocalFile, known: _Known) -> bool:
        """Whether the mirror has another state of a file, or none."""
        there = known.objects.get(file.name)
        if there is None:
            return True
        if file.name in known.written:
            return known.written[file.name] != file.seen
        if file.name == RUN_FILE:  # a first compaction changes a digit of it
            return self._small(file.name, known) != (self.folder / RUN_FILE).read_bytes()
        return there.size != file.size

    def _hidden(self, files: Sequence[LocalFile]) -> set[str]:
        """The names of the batches that compacted files hold which are here."""
        found: set[str] = set()
        for file in files:
            if file.name.startswith(f"{COMPACTED_FOLDER}/"):
                found |= self._batches(file)
        return found

    def _batches(self, file: LocalFile) -> frozenset[str]:
        """The names of the batches of a compacted file, none where it can't be read."""
        seen, names = self._segments.get(file.name, (None, frozenset()))
        if seen != file.seen:
            try:
                segments = read_segments(self.folder / file.name)
            except UNREADABLE:
                return frozenset()
            names = frozenset(segment.name.path for segment in segments)
            self._segments[file.name] = (file.seen, names)
        return names

    def _let_go(self, name: str, hidden: set[str], present: set[str]) -> bool:
        """Whether the run itself removed a trajectory file: another one has its rows now.

        So it is with a batch that a compacted file holds, and with a compacted file whose every
        batch is here.
        """
        if name.startswith(f"{TRAJECTORIES_FOLDER}/"):
            return name in hidden
        if not name.startswith(f"{COMPACTED_FOLDER}/"):
            return False
        try:
            with self._fetched(name) as path:
                held = {segment.name.path for segment in read_segments(path)}
        except UNREADABLE:
            return False
        return held <= hidden | present

    @contextmanager
    def _fetched(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="rlvr-mirror-") as folder:
            path = Path(folder) / "compacted.parquet"
            self.remote.download(name, path)
            yield path


def copy_place(base: str, folder: Path) -> RemoteFolder:
    """Where the copy of a run's folder lies: in one of the same name at a URL or path.

    Raises:
        ConfigurationError: that is the run's folder itself, or no such URL can be opened.
        MissingDependency: the package of the URL's protocol is not installed.
    """
    local = local_path(base)
    if local is None:
        return RemoteFolder(base).child(folder.name)
    if (local / folder.name).resolve() == folder.resolve():
        raise ConfigurationError(
            f"{base} is where the run itself lies, so it can't be mirrored there. Name another"
            " place."
        )
    return RemoteFolder(f"file://{local.absolute()}").child(folder.name)


def _lacks(file: LocalFile, known: _Known) -> bool:
    """Whether the mirror lacks a file, by what is known; counts that changed since are no file."""
    if file.name not in known.objects:
        return True
    if file.name.startswith(f"{RANKS_FOLDER}/"):
        return False
    return known.written.get(file.name, file.seen) != file.seen


def _is_ours(name: str) -> bool:
    """Whether an object is a finished file of a run."""
    return _place(name) < len(_ORDER) and "/." not in f"/{name}"


def _place(name: str) -> int:
    """Where in the order a file is copied; the length of the order for what is no file of a run."""
    found = (at for at, part in enumerate(_ORDER) if name == part or name.startswith(part))
    return next(found, len(_ORDER))
