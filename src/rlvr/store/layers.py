"""Which files hold which batches of a run: each alone in a file (L0), or many in a compacted one.

A compacted file hides the L0 files that it names. Of several compacted files that hold a batch the
one with the most batches is read, and of equal ones the first by name. So everybody that looks sees
each row once, whatever lies there, and what is hidden can be removed at any time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from rlvr.codec import check_format
from rlvr.record import Mode
from rlvr.store.layout import COMPACTED_FOLDER, TRAJECTORIES_FOLDER, BatchName, CompactedName
from rlvr.store.segments import Segment, segments_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilter:
    """Which batches are looked for; None lets all pass."""

    mode: Mode | None = None
    step: int | range | None = None
    names: frozenset[BatchName] | None = None

    @classmethod
    def only(cls, *names: BatchName) -> "BatchFilter":
        """The filter that these batches pass."""
        return cls(names=frozenset(names))

    def passes(self, name: BatchName) -> bool:
        """Whether a batch is one of them."""
        if self.names is not None:
            return name in self.names
        if self.mode is not None and name.mode != self.mode:
            return False
        if self.step is None:
            return True
        return name.step == self.step if isinstance(self.step, int) else name.step in self.step

    def may_lie_in(self, name: CompactedName) -> bool:
        """Whether a compacted file can hold one of them, by its name."""
        if self.names is not None:
            return any(name.may_hold(one) for one in self.names)
        if self.mode is not None and name.mode != self.mode:
            return False
        if self.step is None:
            return True
        steps = range(self.step, self.step + 1) if isinstance(self.step, int) else self.step
        return bool(steps) and min(steps) <= name.last_step and max(steps) >= name.first_step


EVERYTHING = BatchFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactedFile:
    """A compacted file and its batches, in the order of its rows."""

    path: Path
    name: CompactedName
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file that holds a batch; `segment` says in which of its rows, None means all of them."""

    path: Path
    segment: Segment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What lies in the folders of trajectories. `aliens` are files that rlvr did not name."""

    alone: frozenset[BatchName]
    compacted: tuple[CompactedFile, ...]
    aliens: tuple[Path, ...] = ()

    def places(
        self, folder: Path, where: BatchFilter = EVERYTHING
    ) -> Mapping[BatchName, tuple[Place, ...]]:
        """The batches in their order, each with the files that hold it, the one to read first."""
        found: dict[BatchName, list[Place]] = {}
        for file in sorted(self.compacted, key=preference):
            for segment in filter(lambda one: where.passes(one.name), file.segments):
                found.setdefault(segment.name, []).append(Place(path=file.path, segment=segment))
        for name in filter(where.passes, self.alone):
            found.setdefault(name, []).append(Place(path=folder / name.path))
        return {name: tuple(found[name]) for name in sorted(found)}


def preference(file: CompactedFile) -> tuple[int, str]:
    """Of files that hold the same batch the one with the lowest is read."""
    return -len(file.segments), file.name.stem


def look(
    folder: Path, read: Callable[[Path], Sequence[Segment] | None], where: BatchFilter = EVERYTHING
) -> Layers:
    """What lies in a run's folders of trajectories, missing nothing while others compact it.

    A batch is written into the second folder before it leaves the first, and into one file of the
    second before it leaves another. So the second folder is listed after the first, and again
    until it has not changed. `read` gives the batches of a compacted file, None where it can't be
    read; files that can't hold what is looked for are not read.
    """
    listed = _listed(folder / COMPACTED_FOLDER)
    while True:
        alone = _alone(folder, where)
        compacted = list(_compacted(listed, read, where))
        again = _listed(folder / COMPACTED_FOLDER)
        if again == listed:
            break
        listed = again
    names = {path: BatchName.parse(path.stem) for path in alone if path.suffix == ".parquet"}
    known = {path for path in listed if _name(path)} | {
        path for path, name in names.items() if name
    }
    return Layers(
        alone=frozenset(name for name in names.values() if name and where.passes(name)),
        compacted=tuple(compacted),
        aliens=tuple(path for path in alone + listed if path not in known),
    )


class Footers:
    """Reads which batches a compacted file holds, once for each state of the file."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], tuple[Segment, ...]]] = {}

    def segments(self, path: Path) -> tuple[Segment, ...]:
        """The batches of a compacted file.

        Raises:
            OSError, ArrowException: it can't be read.
            NewerFormat: a newer rlvr wrote it.
            DamagedFile: it is not one of ours.
        """
        state = path.stat()
        seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        known = self._known.get(path)
        if known is None or known[0] != seen:
            self._known[path] = known = (seen, read_segments(path))
        return known[1]


def read_segments(path: Path) -> tuple[Segment, ...]:
    """The batches of a compacted file, by its footer.

    Raises:
        OSError, ArrowException: it can't be read.
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: it is not one of ours.
    """
    with pq.ParquetFile(path) as file:
        check_format(file.schema_arrow, str(path))
        return segments_of(file.schema_arrow, file.metadata.num_rows, str(path))


def _compacted(
    paths: Iterable[Path],
    read: Callable[[Path], Sequence[Segment] | None],
    where: BatchFilter,
) -> Iterable[CompactedFile]:
    for path in paths:
        name = _name(path)
        segments = read(path) if name and where.may_lie_in(name) else None
        if name and segments:
            yield CompactedFile(path=path, name=name, segments=tuple(segments))


def _name(path: Path) -> CompactedName | None:
    return CompactedName.parse(path.stem) if path.suffix == ".parquet" else None


def _alone(folder: Path, where: BatchFilter) -> list[Path]:
    if where.names is None:
        return _listed(folder / TRAJECTORIES_FOLDER)
    return [path for name in sorted(where.names) if (path := folder / name.path).exists()]


def _listed(folder: Path) -> list[Path]:
    """Files of a folder, without those that are being written; empty where it does not exist."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
