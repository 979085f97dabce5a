"""Finding the annotations of a record without reading those of all others."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from rlvr.codec import annotations_from_table, unpack
from rlvr.record import Annotation
from rlvr.runs.files import Damage, RowFilter, every_column, visible
from rlvr.store import ANNOTATIONS_FOLDER, annotations_path

_Key = tuple[str, str, str, bool, int]
_HELD_FILES = 8
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
    notes = (
        note
        for path in annotation_files(folder, kind)
        for note in _read(path, damage, RowFilter(id=id))
    )
    return _newest(notes)


class Notes:
    """The annotations of one kind, by the record they belong to.

    A file is read when one of its records is asked for, and the last few stay in memory: processes
    write in the order of the batches, so that reading batch after batch reads each file about once.
    """

    def __init__(self, folder: Path, damage: Damage, kind: str) -> None:
        self._folder = folder
        self._damage = damage
        self._kind = kind
        self._held: OrderedDict[Path, dict[str, list[Annotation]]] = OrderedDict()

    def of(self, id: str) -> list[Annotation]:
        """The newest of each source and update, in that order."""
        paths = self._files.get(id.rpartition("-")[0], ())
        return _newest(note for path in paths for note in self._notes(path).get(id, ()))

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """The files by what the ids of a batch begin with."""
        files: dict[str, list[Path]] = defaultdict(list)
        for path in annotation_files(self._folder, self._kind):
            for table in self._damage.tables(path, _just_ids):
                stems: list[Any] = (
                    pc.replace_substring_regex(table["id"], _ROW, "").unique().to_pylist()
                )
                for stem in map(unpack, stems):
                    if path not in files[stem]:
                        files[stem].append(path)
        return dict(files)

    def _notes(self, path: Path) -> dict[str, list[Annotation]]:
        if path in self._held:
            self._held.move_to_end(path)
            return self._held[path]
        notes: dict[str, list[Annotation]] = defaultdict(list)
        for note in _read(path, self._damage, RowFilter()):
            notes[note.id].append(note)
        self._held[path] = notes
        if len(self._held) > _HELD_FILES:
            self._held.popitem(last=False)
        return notes


def _read(path: Path, damage: Damage, where: RowFilter) -> Iterator[Annotation]:
    for table in damage.tables(path, every_column, where):
        yield from damage.rows(path, table, annotations_from_table)


def _newest(notes: Iterator[Annotation]) -> list[Annotation]:
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
