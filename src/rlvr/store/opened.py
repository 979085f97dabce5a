"""A file of trajectories that is being read, in ranges of its rows."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.codec import check_format
from rlvr.store.layout import BatchName
from rlvr.store.segments import Segment, segments_of


class OpenFile:
    """A Parquet file of ours. Checks every page that it reads, and holds the last row group.

    Raises, when it is made and ever after, what a torn or alien file makes Arrow and our decoder
    raise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        self.schema = self._file.schema_arrow
        check_format(self.schema, str(path))
        footer = self._file.metadata
        groups = range(footer.num_row_groups)
        self._starts = list(accumulate((footer.row_group(n).num_rows for n in groups), initial=0))
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

    def holds(self, segments: Iterable[Segment]) -> bool:
        """Whether these are batches of it, in these rows."""
        return all(segment == self.segments.get(segment.name) for segment in segments)

    def ranges(self, first: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The rows from `first` to before `stop`, a range (row group, first, stop) for each group.

        The rows of a range count from the beginning of its row group.
        """
        while first < stop:
            group = bisect_right(self._starts, first) - 1
            start, end = self._starts[group], min(self._starts[group + 1], stop)
            yield group, first - start, end - start
            first = end

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
