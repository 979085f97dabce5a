"""Removing what a compaction has made needless: files whose every row is in a compacted one.

A file goes only when it has just been read beside the file that hides it, value by value. Of files
that hold the same batch the one that readers prefer stays, so two that sweep at once remove nothing
that the other relies on.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from rlvr.codec import pruned_parts
from rlvr.errors import NewerFormat
from rlvr.store.base import Shelf
from rlvr.store.exactly import same_values
from rlvr.store.layers import EVERYTHING, BatchFilter, Footers, Layers, Place, look
from rlvr.store.layout import COMPACTED_FOLDER
from rlvr.store.opened import UNREADABLE, OpenFiles, PlacedRows
from rlvr.store.parts import COLUMNS_OF
from rlvr.store.process import host_name, process_mark
from rlvr.store.segments import Segment

GRACE_S = 60.0
"""So long a file stays beside the compacted one, for readers that have listed it."""

LEFTOVER_S = 3600.0
"""Age from which on a temporary file is a leftover, also where its writer may live elsewhere."""

_TEMPORARY = re.compile(r"\..+\.parquet\.(?P<pid>\d+)-(?P<mark>\d*)-\d+\.(?P<host>.+)\.tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep removed.

    kept: files that stay, since they differ from what hides them. waiting: files whose time has not
    come yet.
    """

    files: int = 0
    bytes: int = 0
    kept: tuple[Path, ...] = ()
    waiting: int = 0


def layers_of(
    folder: Path, where: BatchFilter = EVERYTHING, footers: Footers | None = None
) -> Layers:
    """What can be read of a run's folders of trajectories.

    Raises:
        NewerFormat: a newer rlvr wrote one of the compacted files.
    """

    known = footers or Footers()

    def read(path: Path) -> tuple[Segment, ...] | None:
        try:
            return known.segments(path)
        except NewerFormat:
            raise
        except UNREADABLE:
            return None

    return look(folder, read, where)


def sweep(shelf: Shelf, *, grace_s: float = GRACE_S) -> Swept:
    """Remove files that compacted ones of at least `grace_s` seconds have made needless.

    Raises:
        NewerFormat: a newer rlvr wrote one of the files.
        StoreError: the store can't be written.
    """
    for path in abandoned(shelf.folder):
        shelf.remove(path.relative_to(shelf.folder).as_posix())
    removed, kept = [], []
    waiting = 0
    with OpenFiles() as files:
        for path, pairs in _hidden(layers_of(shelf.folder), shelf.folder).items():
            size, age = _state(path)[0], min(_state(place.path)[1] for _, place in pairs)
            if size is None:
                continue
            if age < grace_s:
                waiting += 1
            elif all(_alike(files, *pair) for pair in pairs):
                shelf.remove(path.relative_to(shelf.folder).as_posix())
                removed.append(size)
            elif path.exists():
                kept.append(path)
    return Swept(files=len(removed), bytes=sum(removed), kept=tuple(kept), waiting=waiting)


def hidden_bytes(folder: Path) -> int:
    """What the files take that a sweep would look at."""
    return sum(_state(path)[0] or 0 for path in _hidden(layers_of(folder), folder))


def abandoned(folder: Path) -> Iterator[Path]:
    """Temporary files of compactions whose process has ended."""
    for path in sorted((folder / COMPACTED_FOLDER).glob(".*.tmp")):
        found = _TEMPORARY.fullmatch(path.name)
        if found and found["host"] == host_name():
            over = process_mark(int(found["pid"])) != found["mark"]
        else:
            over = _state(path)[1] > LEFTOVER_S
        if over:
            yield path


def _hidden(layers: Layers, folder: Path) -> Mapping[Path, list[tuple[Place, Place]]]:
    """Files of which nothing is read: each of their batches, and where that is read."""
    read: set[Path] = set()
    pairs: dict[Path, list[tuple[Place, Place]]] = {}
    for preferred, *others in layers.places(folder).values():
        read.add(preferred.path)
        for place in others:
            pairs.setdefault(place.path, []).append((place, preferred))
    return {path: pairs[path] for path in pairs if path not in read}


def _alike(files: OpenFiles, one: Place, other: Place) -> bool:
    """Whether two places hold the same rows, but for what was pruned of one of them."""
    try:
        return _same_rows(files.rows_of([one]), files.rows_of([other]))
    except NewerFormat:
        raise
    except UNREADABLE:
        return False


def _same_rows(one: PlacedRows, other: PlacedRows) -> bool:
    if one.stop - one.first != other.stop - other.first:
        return False
    shared = [name for name in one.names if name in set(other.names)]
    if not set(one.names) ^ set(other.names) <= _gone(one) | _gone(other):
        return False
    at = 0
    for place in one.file.ranges(one.first, one.stop):
        stop = at + place[2] - place[1]
        if not same_values(one.file.read(place, shared), other.table(at, stop, shared)):
            return False
        at = stop
    return True


def _gone(rows: PlacedRows) -> frozenset[str]:
    """Columns that were pruned."""
    notes = pruned_parts(pa.schema([]).with_metadata(rows.notes))
    return frozenset[str]().union(*(COLUMNS_OF[note.part] for note in notes))


def _state(path: Path) -> tuple[int | None, float]:
    """Size and age in seconds; (None, 0) where it is gone."""
    try:
        state = path.stat()
    except OSError:
        return None, 0.0
    return state.st_size, time.time() - state.st_mtime
