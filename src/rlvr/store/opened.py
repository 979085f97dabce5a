"""A file of trajectories that is being read, in ranges of its rows."""

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.codec import check_trajectories
from rlvr.errors import RlvrError
from rlvr.store.layers import Place
from rlvr.store.layout import BatchName
from rlvr.store.segments import SEGMENTS_KEY, Segment, segments_of

UNREADABLE = (OSError, RlvrError, pa.ArrowException, ValueError, KeyError, TypeError)
"""What a torn or alien file makes Arrow and our decoder raise."""

_OPEN_FILES = 4
BLOCK_BYTES = 64 << 20
"""Of the whole rows of a block, uncompressed; what is read of them is mostly much less."""


class OpenFile:
    """A Parquet file of ours. Checks every page that it reads, and holds the last row group.

    Raises, when it is made and ever after, what a torn or alien file makes Arrow and our decoder
    raise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        self.schema = self._file.schema_arrow
        check_trajectories(self.schema, str(path))
        footer = self._file.metadata
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        self._starts = list(accumulate((group.num_rows for group in groups), initial=0))
        self._sizes = [group.total_byte_size for group in groups]
        self._held: tuple[int, dict[tuple[str, ...], pa.Table]] = (-1, {})

    def __enter__(self) -> "OpenFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return self._starts[-1]

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        return list(self.schema.names)

    @property
    def notes(self) -> dict[bytes, bytes]:
        """Its metadata."""
        return dict(self.schema.metadata or {})

    @cached_property
    def segments(self) -> Mapping[BatchName, Segment]:
        """Its batches, where it is a compacted file."""
        segments = segments_of(self.schema, self.rows, str(self.path))
        return {segment.name: segment for segment in segments}

    def bytes_by_column(self, first: int, stop: int) -> dict[str, float]:
        """What rows take, compressed, by column: their share of the row groups and the footer.

        Of a column that some batches of a row group lack, only the others' rows take something.
        """
        footer = self._file.metadata
        chunks = max(footer.num_columns * footer.num_row_groups, 1)
        takes: dict[str, float] = {}
        for number, begin, end in self.ranges(first, stop):
            group = footer.row_group(number)
            holders = self._rows_with(number)
            for leaf in map(group.column, range(group.num_columns)):
                size = leaf.total_compressed_size + footer.serialized_size / chunks
                column = leaf.path_in_schema.partition(".")[0]
                share = (end - begin) / (holders.get(column) or group.num_rows)
                takes[column] = takes.get(column, 0.0) + share * size
        return takes

    def _rows_with(self, group: int) -> Counter[str]:
        """How many rows of a row group have a column, for those that not all of them have."""
        start, stop = self._starts[group : group + 2]
        held = self.segments.values() if SEGMENTS_KEY in self.notes else ()
        inside = [one for one in held if one.first < stop and one.stop > start]
        partial = frozenset[str]().union(*(one.shape.lacks for one in inside))
        rows: Counter[str] = Counter()
        for one in inside:
            shared = min(one.stop, stop) - max(one.first, start)
            rows.update(dict.fromkeys(partial - one.shape.lacks, shared))
        return rows

    def ranges(self, first: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The rows from `first` to before `stop`, a range (row group, first, stop) for each group.

        The rows of a range count from the beginning of its row group.
        """
        while first < stop:
            group = bisect_right(self._starts, first) - 1
            start, end = self._starts[group], min(self._starts[group + 1], stop)
            yield group, first - start, end - start
            first = end

    def blocks(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """The rows from `first` to before `stop`, some row groups together: as many as BLOCK_BYTES
        allow, and at least one."""
        size = 0
        for group, begin, _ in self.ranges(first, stop):
            if size and size + self._sizes[group] > BLOCK_BYTES:
                at = self._starts[group] + begin
                yield first, at
                first, size = at, 0
            size += self._sizes[group]
        if first < stop:
            yield first, stop

    def read_block(self, first: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """At least one column of the rows of a block, by threads if it is large; holds nothing."""
        groups = [group for group, _, _ in self.ranges(first, stop)]
        table = self._file.read_row_groups(
            groups, columns=list(columns), use_threads=len(groups) > 1
        )
        return table.slice(first - self._starts[groups[0]], stop - first)

    def read(self, place: tuple[int, int, int], columns: Sequence[str]) -> pa.Table:
        """At least one column of a range of `ranges`."""
        group, first, stop = place
        held, tables = self._held
        if held != group:
            tables = {}
            self._held = (group, tables)
        key = tuple(columns)
        if key not in tables:
            tables[key] = self._file.read_row_group(group, columns=list(key), use_threads=False)
        return tables[key].slice(first, stop - first)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRows:
    """Rows of an open file that are one batch, or several alike that follow one another.

    `names` and `notes` are the columns and the metadata that the batch's own file had.
    """

    file: OpenFile
    first: int
    stop: int
    names: list[str]
    notes: dict[bytes, bytes]

    def table(self, first: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Columns of some of the rows, which count from its first."""
        ranges = self.file.ranges(self.first + first, self.first + stop)
        return pa.concat_tables(self.file.read(place, columns) for place in ranges)


class OpenFiles:
    """Keeps the last few files open that were read. Close it after."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, OpenFile] = OrderedDict()

    def __enter__(self) -> "OpenFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all files."""
        while self._files:
            self._files.popitem()[1].close()

    def rows_of(self, places: Sequence[Place]) -> PlacedRows:
        """The rows of places that follow one another in a file.

        Raises:
            FileNotFoundError: the file is gone, or was replaced by one that has them elsewhere.
            OSError, RlvrError, ArrowException, ...: it is damaged; see `OpenFile`.
        """
        path = places[0].path
        file = self._opened(path)
        segments = [place.segment for place in places if place.segment is not None]
        if not segments:
            return PlacedRows(
                file=file, first=0, stop=file.rows, names=file.names, notes=file.notes
            )
        if any(segment != file.segments.get(segment.name) for segment in segments):
            self._files.pop(path).close()
            raise FileNotFoundError(f"{path} has been replaced")
        shape = segments[0].shape
        return PlacedRows(
            file=file,
            first=segments[0].first,
            stop=segments[-1].stop,
            names=shape.columns(file.names),
            notes=shape.metadata,
        )

    def _opened(self, path: Path) -> OpenFile:
        if path not in self._files:
            self._files[path] = OpenFile(path)
            if len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return self._files[path]
