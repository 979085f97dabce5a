"""The recorded batches of a run: which files hold them, and reading their rows.

A batch may lie in several files at once while a run is compacted, and its file may go between a
look and the reading of it. Its rows are read once, from the first of its files that can be read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rlvr.errors import DamagedFile
from rlvr.record import Mode
from rlvr.runs.files import EVERY_ROW, UNREADABLE, Damage, RowFilter
from rlvr.store import BatchName
from rlvr.store.layers import BatchFilter, Footers, Place, look
from rlvr.store.opened import OpenFile, OpenFiles
from rlvr.store.segments import Segment

Choose = Callable[[Sequence[str]], list[str]]
"""Picks the columns to read from those that a batch has."""

_LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBatch:
    """A batch and the files that hold it, the one to read first."""

    name: BatchName
    places: tuple[Place, ...]

    @property
    def place(self) -> Place:
        """Where it is read, unless that file turns out to be damaged."""
        return self.places[0]


class Batches:
    """The batches of one run. Every call looks at the folders anew; what can't be read is noted.

    `footers` are what is known of compacted files already.
    """

    def __init__(self, folder: Path, damage: Damage, footers: Footers | None = None) -> None:
        self._folder = folder
        self._damage = damage
        self.footers = footers or Footers()

    def all(
        self, *, mode: Mode | None = None, step: int | range | None = None
    ) -> list[RecordedBatch]:
        """Those of a mode and step, ordered by attempt, step, mode, batch, rank and part."""
        return self._found(BatchFilter(mode=mode, step=step))

    def find(self, name: BatchName) -> RecordedBatch | None:
        """The batch of that name; None where there is none."""
        return next(iter(self.named(name)), None)

    def named(self, *names: BatchName) -> list[RecordedBatch]:
        """Those of these names, in the order of `all`; without any that there is not."""
        return self._found(BatchFilter.only(*names))

    def rows(self, batch: RecordedBatch) -> int:
        """Number of its rows by the footer of its file; 0 where that can't be read."""
        for place in batch.places:
            rows = place.segment.rows if place.segment else self._damage.verify(place.path)
            if rows:
                return rows
        return 0

    def notes(self, batch: RecordedBatch) -> pa.Schema:
        """What the batch's file says of itself, as metadata of a schema.

        Raises:
            OSError, ArrowException: it can't be read.
        """
        place = batch.place
        if place.segment is not None:
            return pa.schema([]).with_metadata(place.segment.shape.metadata)
        self._damage.fetch(place.path)
        return pq.read_schema(place.path)

    def _found(self, where: BatchFilter) -> list[RecordedBatch]:
        self._damage.look()
        layers = look(self._folder, self._segments, where)
        for path in layers.aliens:
            self._damage.note(path, DamagedFile(f"{path} is no file of rlvr's; move it elsewhere."))
        places = layers.places(self._folder, where)
        return [RecordedBatch(name=name, places=found) for name, found in places.items()]

    def _segments(self, path: Path) -> tuple[Segment, ...] | None:
        try:
            self._damage.fetch(path)
            return self.footers.segments(path)
        except FileNotFoundError:
            return None
        except UNREADABLE as error:
            self._damage.note(path, error)
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Rows of one batch, or of several that follow one another, and the file they are from."""

    path: Path
    table: pa.Table


class BatchReader:
    """Reads batches; keeps the last few files open with their last row group. Close it after."""

    def __init__(self, batches: Batches, damage: Damage) -> None:
        self._batches = batches
        self._damage = damage
        self._files = OpenFiles()

    def __enter__(self) -> "BatchReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def pieces(
        self,
        batches: Iterable[RecordedBatch],
        choose: Choose,
        where: RowFilter = EVERY_ROW,
        *,
        apart: bool = True,
    ) -> Iterator[Piece]:
        """The rows that pass, in the order of the batches; nothing of what can't be read.

        A piece has rows of one row group and, with `apart`, of one batch. Without `apart` and
        where every row passes it may have many row groups, as `OpenFile.blocks` puts them.
        """
        by_block = not apart and not where.columns
        tables = _by_block if by_block else partial(_by_group, where=where)
        for span in _spans(batches, apart=apart):
            yield from self._span(span, choose, tables)

    def _span(
        self, span: Sequence[RecordedBatch], choose: Choose, tables: "_Tables"
    ) -> Iterator[Piece]:
        place = span[0].place
        at = place.segment.first if place.segment else 0
        try:
            for stop, pieces in self._read([batch.place for batch in span], 0, choose, tables):
                at = stop
                yield from pieces
        except FileNotFoundError:
            pass
        except UNREADABLE as error:
            self._damage.note(place.path, error)
        else:
            return
        for batch in span:
            segment = batch.place.segment
            if segment is None or segment.stop > at:
                seen = max(at - (segment.first if segment else 0), 0)
                yield from self._elsewhere(batch, seen, choose, tables)

    def _elsewhere(
        self, batch: RecordedBatch, seen: int, choose: Choose, tables: "_Tables"
    ) -> Iterator[Piece]:
        """The rest of a batch, of which `seen` rows are read, from another of its files."""
        places = batch.places[1:]
        for _ in range(_LOOKS):
            for place in places:
                first = place.segment.first if place.segment else 0
                try:
                    for at, pieces in self._read([place], seen, choose, tables):
                        seen = at - first
                        yield from pieces
                except FileNotFoundError:
                    continue
                except UNREADABLE as error:
                    self._damage.note(place.path, error)
                else:
                    return
            found = self._batches.find(batch.name)
            damaged = self._damage.paths()
            places = tuple(p for p in found.places if p.path not in damaged) if found else ()

    def _read(
        self, places: Sequence[Place], seen: int, choose: Choose, tables: "_Tables"
    ) -> Iterator[tuple[int, list[Piece]]]:
        """Pieces of places that follow one another in a file, each with the row after it.

        Raises:
            FileNotFoundError: the file is gone, or was replaced by one that has them elsewhere.
        """
        self._damage.fetch(places[0].path)
        rows = self._files.rows_of(places)
        columns = choose(rows.names) or rows.names[:1]  # a table without columns has no rows
        for at, table in tables(rows.file, rows.first + seen, rows.stop, columns):
            piece = Piece(path=rows.file.path, table=table.replace_schema_metadata(rows.notes))
            yield at, [piece] if table.num_rows else []


_Tables = Callable[[OpenFile, int, int, list[str]], Iterator[tuple[int, pa.Table]]]
"""Reads columns of rows from one to before another, in parts, each with the row after it."""


def _by_block(
    file: OpenFile, first: int, stop: int, columns: list[str]
) -> Iterator[tuple[int, pa.Table]]:
    """All the rows, as many at once as memory allows; those before a damaged page as well."""
    for begin, end in file.blocks(first, stop):
        try:
            table = file.read_block(begin, end, columns)
        except UNREADABLE:
            yield from _by_group(file, begin, stop, columns)
            return
        yield end, table


def _by_group(
    file: OpenFile, first: int, stop: int, columns: list[str], where: RowFilter = EVERY_ROW
) -> Iterator[tuple[int, pa.Table]]:
    """The rows that pass; the content of a row group is read only where there are any."""
    for place in file.ranges(first, stop):
        first += place[2] - place[1]
        yield first, _filtered(file, place, columns, where)


def _filtered(
    file: OpenFile, place: tuple[int, int, int], columns: list[str], where: RowFilter
) -> pa.Table:
    if not where.columns:
        return file.read(place, columns)
    kept = where.kept(file.read(place, where.columns))
    if not pc.any(kept).as_py():
        return file.schema.empty_table().select(columns)
    return file.read(place, columns).filter(kept)


def _spans(batches: Iterable[RecordedBatch], *, apart: bool) -> Iterator[list[RecordedBatch]]:
    """The batches, those together that lie one after another in a file and look alike."""
    span: list[RecordedBatch] = []
    for batch in batches:
        if span and not apart and _adjoin(span[-1].place, batch.place):
            span.append(batch)
            continue
        if span:
            yield span
        span = [batch]
    if span:
        yield span


def _adjoin(one: Place, other: Place) -> bool:
    a, b = one.segment, other.segment
    if a is None or b is None or one.path != other.path:
        return False
    return a.stop == b.first and a.shape == b.shape
