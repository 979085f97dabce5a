"""Many small trajectory files as few large ones: choosing them, and writing.

What is written holds the same rows under the same ids. Nothing is removed here: `sweep` does that,
after it has compared. No lock is needed: whatever others do meanwhile, a compacted file is whole or
not there, and readers know how to choose between files that hold the same batch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from rlvr.codec import said_compacted, stamp
from rlvr.errors import DamagedFile, NewerFormat
from rlvr.schema import COMPACTED_FORMAT
from rlvr.store.base import Shelf
from rlvr.store.layers import Layers
from rlvr.store.layout import RUN_FILE, BatchName, CompactedName
from rlvr.store.opened import UNREADABLE, OpenFile
from rlvr.store.parquet import ROW_GROUP_BYTES, parquet_writer, row_groups
from rlvr.store.segments import Segment, Shape, mark_segments

COMPACTED_GROUP_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a compacted file gets, and how few files are worth one.

    A row has some 75 columns, and the whole footer is read to reach one row: of 8,192 rows it is
    0.1 MB, which takes a millisecond.
    """

    files: int = 256
    bytes: int = 256 << 20
    rows: int = 8_192
    at_least: int = 2


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of one batch that may be compacted. `types` are those of its columns."""

    name: BatchName
    bytes: int
    rows: int
    types: Mapping[str, pa.DataType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """Files that become one, in the order of their rows."""

    sources: tuple[Source, ...]
    full: bool

    @property
    def name(self) -> CompactedName:
        """The name of the file that they become."""
        return CompactedName.of(source.name for source in self.sources)

    @property
    def bytes(self) -> int:
        """What they take now."""
        return sum(source.bytes for source in self.sources)


def finished(layers: Layers, live: int | None) -> list[BatchName]:
    """The batches that lie alone and may be compacted.

    Of the attempt that is `live`, those before the newest batch that all of its processes wrote:
    what comes late should find its place beside its like.
    """
    held = {segment.name for file in layers.compacted for segment in file.segments}
    newest: dict[tuple[str, int], tuple[int, int]] = {}
    for name in sorted(layers.alone):
        newest[(name.mode, name.rank)] = (name.step, name.batch)
    bounds: dict[str, tuple[int, int]] = {}
    for (mode, _), place in newest.items():
        bounds[mode] = min(bounds.get(mode, place), place)
    return [
        name
        for name in sorted(layers.alone - held)
        if name.attempt != live or (name.step, name.batch) < bounds[name.mode]
    ]


def plan(sources: Iterable[Source], limits: Limits) -> list[Compaction]:
    """What becomes one file each: batches of one mode and attempt that follow one another."""
    ordered = sorted(sources, key=lambda one: (one.name.attempt, one.name.mode, one.name))
    compactions = []
    for _, alike in groupby(ordered, key=lambda one: (one.name.attempt, one.name.mode)):
        compactions += list(_filled(alike, limits))
    return [one for one in compactions if len(one.sources) >= limits.at_least]


def _filled(sources: Iterable[Source], limits: Limits) -> Iterator[Compaction]:
    chosen: list[Source] = []
    for source in sources:
        if chosen and not _fits(chosen, source, limits):
            yield Compaction(sources=tuple(chosen), full=True)
            chosen = []
        chosen.append(source)
    if chosen:
        yield Compaction(sources=tuple(chosen), full=len(chosen) == limits.files)


def _fits(chosen: Sequence[Source], source: Source, limits: Limits) -> bool:
    if len(chosen) == limits.files:
        return False
    if sum(one.bytes for one in chosen) + source.bytes > limits.bytes:
        return False
    if sum(one.rows for one in chosen) + source.rows > limits.rows:
        return False
    types = {name: kind for one in chosen for name, kind in one.types.items()}
    return all(types.get(name, kind) == kind for name, kind in source.types.items())


def read_source(folder: Path, name: BatchName) -> Source | None:
    """A file of one batch, by its footer; None where it is gone, empty or can't be read.

    Raises:
        NewerFormat: a newer rlvr wrote it.
    """
    path = folder / name.path
    try:
        with OpenFile(path) as file:
            types = dict(zip(file.schema.names, file.schema.types, strict=True))
            source = Source(name=name, bytes=path.stat().st_size, rows=file.rows, types=types)
    except NewerFormat:
        raise
    except UNREADABLE:
        return None
    return source if source.rows else None


def write_compacted(shelf: Shelf, compaction: Compaction) -> None:
    """Write the file of a compaction; memory is bounded by two row groups.

    Raises:
        DamagedFile: one of the files is gone or can't be read; nothing was written.
        StoreError: the store can't be written.
    """

    types = {name: kind for one in compaction.sources for name, kind in one.types.items()}
    schema = pa.schema(list(types.items()))
    segments: list[Segment] = []

    def write(path: Path) -> None:
        segments.clear()
        write_rows(path, schema, _tables(shelf.folder, compaction, schema, segments), segments)

    _say_compacted(shelf)
    shelf.commit_stream(compaction.name.path, write, compaction.bytes)


def _say_compacted(shelf: Shelf) -> None:
    """Let the run say that it has compacted files, before it has any.

    One without a run.json that can be read has nothing that could say so.
    """
    path = shelf.folder / RUN_FILE
    try:
        payload = path.read_bytes()
        raised = said_compacted(payload, str(path))
    except (FileNotFoundError, DamagedFile):
        return
    if raised != payload:
        shelf.commit(RUN_FILE, raised)


def write_rows(
    path: Path, schema: pa.Schema, tables: Iterable[pa.Table], segments: Sequence[Segment]
) -> None:
    """Write a compacted file of tables with columns of the schema; what they lack is null.

    `segments` is looked at when the last table was written.
    """
    with pa.OSFile(str(path), "wb") as sink, parquet_writer(sink, schema) as writer:
        for table in _gathered(_widened(table, schema) for table in tables):
            for group in row_groups(table, COMPACTED_GROUP_ROWS, ROW_GROUP_BYTES):
                writer.write_table(group, row_group_size=COMPACTED_GROUP_ROWS)
        notes = mark_segments(stamp(schema, COMPACTED_FORMAT), segments).metadata or {}
        writer.add_key_value_metadata({k.decode(): note.decode() for k, note in notes.items()})


def _tables(
    folder: Path, compaction: Compaction, schema: pa.Schema, segments: list[Segment]
) -> Iterator[pa.Table]:
    """The rows of every source; the batches as they really are go to `segments`."""
    first = 0
    for source in compaction.sources:
        path = folder / source.name.path
        try:
            with OpenFile(path) as file:
                shape = Shape(
                    lacks=frozenset(schema.names) - set(file.names),
                    notes={key.decode(): note.decode() for key, note in file.notes.items()},
                )
                segments.append(Segment(name=source.name, first=first, rows=file.rows, shape=shape))
                first += file.rows
                for place in file.ranges(0, file.rows):
                    yield file.read(place, file.names)
        except UNREADABLE as error:
            raise DamagedFile(f"{path} can't be read, so it stays as it is ({error}).") from error


def _widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of the schema, null where it has none."""
    arrays = [
        table[column.name]
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of small tables together, as many as a row group takes."""
    waiting: list[pa.Table] = []
    for table in tables:
        rows = sum(one.num_rows for one in waiting) + table.num_rows
        held = sum(one.nbytes for one in waiting) + table.nbytes
        if waiting and (rows > COMPACTED_GROUP_ROWS or held > ROW_GROUP_BYTES):
            yield pa.concat_tables(waiting)
            waiting = []
        waiting.append(table)
    if waiting:
        yield pa.concat_tables(waiting)
