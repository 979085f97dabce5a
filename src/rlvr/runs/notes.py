"""Finding the annotations of a record without reading those of all others."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.codec import ANNOTATIONS_SCHEMA, annotations_from_table, pack, unpack
from rlvr.record import Annotation
from rlvr.runs.files import Damage, RowFilter, every_column, visible
from rlvr.store import ANNOTATIONS_FOLDER, annotations_path

_Key = tuple[str, str, str, bool, int]
_HELD_FILES = 8
_BATCH = "batch"
_ROW = "-[0-9]+$"
"""What follows the batch in an id."""


def annotation_files(folder: Path, kind: str | None = None) -> list[Path]:
    """Files of annotations, of one kind or of all."""
    if kind is not None:
        return visible((folder / annotations_path(kind, 0, 0, 0)).parent)
    return [path for kinds in visible(folder / ANNOTATIONS_FOLDER) for path in visible(kinds)]


def read_annotations(
    folder: Path, damage: Damage, *, id: str | None, kind: str | None
) -> list[Annotation]:
    """The newest annotation of each (id, kind, source, update), in that order."""
    damage.look()
    notes = (
        note
        for path in annotation_files(folder, kind)
        for note in _read(path, damage, RowFilter(id=id))
    )
    return _newest(notes)


class Notes:
    """The annotations of one kind, by the record they belong to.

    A file is read when a batch of its is asked for, and the last few stay in memory: processes
    write in the order of the batches, so that reading batch after batch reads each file about once.
    """

    def __init__(self, folder: Path, damage: Damage, kind: str) -> None:
        self._folder = folder
        self._damage = damage
        self._kind = kind
        self._held: OrderedDict[Path, list[pa.Table]] = OrderedDict()
        self._batch = ""
        self._by_id: dict[str, list[Annotation]] = {}

    def of(self, id: str) -> list[Annotation]:
        """The newest of each source and update, in that order."""
        batch = id.rpartition("-")[0]
        if batch not in self._files:
            return []
        if batch != self._batch:
            self._batch, self._by_id = batch, self._of_batch(batch)
        return _newest(self._by_id.get(id, ()))

    def rows(self, ids: "pa.ChunkedArray[Any]") -> list[int]:
        """Which of the ids, as columns hold them, may have any: those of batches that have."""
        if not self._files:
            return []
        noted = pa.array([pack(batch) for batch in self._files], pa.string())
        own: Any = pc.is_in(_batches(ids), value_set=noted)
        return [int(row) for row in np.flatnonzero(own.to_numpy())]

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """The files by what the ids of a batch begin with."""
        files: dict[str, list[Path]] = defaultdict(list)
        self._damage.look()
        for path in annotation_files(self._folder, self._kind):
            for table in self._damage.tables(path, ANNOTATIONS_SCHEMA, _just_ids):
                batches: list[Any] = _batches(table["id"]).unique().to_pylist()
                for batch in map(unpack, batches):
                    if path not in files[batch]:
                        files[batch].append(path)
        return dict(files)

    def _of_batch(self, batch: str) -> dict[str, list[Annotation]]:
        notes: dict[str, list[Annotation]] = defaultdict(list)
        for path in self._files[batch]:
            for table in self._tables(path):
                own = table.filter(pc.equal(table[_BATCH], pa.scalar(pack(batch))))
                for note in self._damage.rows(path, own, annotations_from_table):
                    notes[note.id].append(note)
        return notes

    def _tables(self, path: Path) -> list[pa.Table]:
        if path not in self._held:
            self._held[path] = [
                table.append_column(_BATCH, _batches(table["id"]))
                for table in self._damage.tables(path, ANNOTATIONS_SCHEMA, every_column)
            ]
            if len(self._held) > _HELD_FILES:
                self._held.popitem(last=False)
        self._held.move_to_end(path)
        return self._held[path]


def _batches(ids: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    return pc.replace_substring_regex(ids, _ROW, "")


def _read(path: Path, damage: Damage, where: RowFilter) -> Iterator[Annotation]:
    for table in damage.tables(path, ANNOTATIONS_SCHEMA, every_column, where):
        yield from damage.rows(path, table, annotations_from_table)


def _newest(notes: Iterable[Annotation]) -> list[Annotation]:
    newest: dict[_Key, Annotation] = {}
    for note in notes:
        held = newest.get(_key(note))
        if held is None or held.written_at <= note.written_at:
            newest[_key(note)] = note
    return [newest[key] for key in sorted(newest)]


def _just_ids(present: Sequence[str]) -> list[str]:
    return [name for name in present if name == "id"]


def _key(note: Annotation) -> _Key:
    return note.id, note.kind, note.source, note.update is not None, note.update or 0
