"""Writing a compacted file anew with less in it: without parts of batches, or without batches.

It keeps its name. The batches that stay keep their rows and ids.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from rlvr.errors import DamagedFile
from rlvr.store.base import Shelf
from rlvr.store.compact import write_rows
from rlvr.store.opened import UNREADABLE, OpenFile
from rlvr.store.segments import Segment, Shape

Change = Callable[[Segment], Shape | None]
"""How a batch looks from now on; None where it goes."""


def rewrite(shelf: Shelf, path: Path, change: Change) -> int:
    """Write a compacted file anew; the bytes that this freed. It goes where no batch stays.

    What goes is not read. Memory is bounded by two row groups.

    Raises:
        DamagedFile: what should stay can't be read; the file is left as it is.
        StoreError: the store can't be written.
    """
    name = path.relative_to(shelf.folder).as_posix()
    with _readable(path):
        was = path.stat().st_size
        file = OpenFile(path)
    with file:
        with _readable(path):
            changes = [(old, change(old)) for old in file.segments.values()]
        kept = [(old, shape) for old, shape in changes if shape is not None]
        if kept:
            _replace(shelf, name, file, kept)
            return was - path.stat().st_size
    shelf.remove(name)
    return was


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise DamagedFile(f"{path} can't be read, so nothing of it goes ({error}).") from error


def _replace(shelf: Shelf, name: str, file: OpenFile, kept: list[tuple[Segment, Shape]]) -> None:
    columns = frozenset[str]().union(*(shape.columns(file.names) for _, shape in kept))
    schema = pa.schema([field for field in file.schema if field.name in columns])
    segments = []
    first = 0
    for old, shape in kept:
        lacks = shape.lacks & frozenset(schema.names)
        segments.append(replace(old, first=first, shape=replace(shape, lacks=lacks)))
        first += old.rows

    def write(path: Path) -> None:
        write_rows(path, schema, _tables(file, kept), segments)

    shelf.commit_stream(name, write, file.path.stat().st_size)


def _tables(file: OpenFile, kept: list[tuple[Segment, Shape]]) -> Iterator[pa.Table]:
    for old, shape in kept:
        for place in file.ranges(old.first, old.stop):
            with _readable(file.path):
                table = file.read(place, shape.columns(file.names))
            yield table
