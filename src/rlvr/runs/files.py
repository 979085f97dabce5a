"""Reading the files of a run; what can't be read is noted and left out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rlvr.codec import check_columns, check_format, pack
from rlvr.errors import DamagedFile, NewerFormat, RemoteUnavailable, RlvrError
from rlvr.runs.buffers import flags, number, text

T = TypeVar("T")

UNREADABLE = (OSError, RlvrError, pa.ArrowException, ValueError, KeyError, TypeError)
"""What a torn or alien file makes Arrow and our decoder raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows pass. `reward` is (lowest, highest), both included; `ids` as columns hold them."""

    id: str | None = None
    ids: frozenset[str] | None = None
    group: str | None = None
    reward: tuple[float, float] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that the mask is computed from; empty where every row passes."""
        id = self.ids if self.id is None else self.id
        names = {"id": id, "group_id": self.group, "reward": self.reward}
        return [name for name, wanted in names.items() if wanted is not None]

    def kept(self, table: pa.Table) -> Any:
        """An Arrow mask of the rows that pass; a missing or NaN reward never does."""
        conditions = []
        if self.id is not None:
            conditions.append(pc.equal(table["id"], text(pack(self.id))))
        if self.ids is not None:
            packed: list[Any] = table["id"].to_pylist()
            conditions.append(flags(np.array([id in self.ids for id in packed], dtype=bool)))
        if self.group is not None:
            conditions.append(pc.equal(table["group_id"], text(pack(self.group))))
        if self.reward is not None:
            lowest, highest = map(number, self.reward)
            conditions.append(pc.greater_equal(table["reward"], lowest))
            conditions.append(pc.less_equal(table["reward"], highest))
        return reduce(pc.and_, conditions)


EVERY_ROW = RowFilter()


class Origin(Protocol):
    """Where the files of a folder come from, when they are not all there."""

    def look(self) -> None:
        """Let the folder have the files that are there now."""
        ...

    def fetch(self, path: Path) -> None:
        """Have the file there that is to be read; FileNotFoundError where it is gone."""
        ...

    def shown(self, path: Path) -> str:
        """What a person calls the file."""
        ...


class Damage:
    """The files that could not be read, each with its reason.

    All that reads the files of a run asks here for them first (`look`, `fetch`): those of a run
    behind a URL come from `origin` then.
    """

    def __init__(self, origin: Origin | None = None) -> None:
        self.origin = origin
        self._found: dict[Path, DamagedFile] = {}

    def look(self) -> None:
        """Be ready for the folder to be listed.

        Raises:
            RemoteUnavailable: the run's place can't be reached.
        """
        if self.origin is not None:
            self.origin.look()

    def fetch(self, path: Path) -> None:
        """Be ready for a file to be read.

        Raises:
            FileNotFoundError: it is gone from the run's place.
            RemoteUnavailable: the place can't be reached.
        """
        if self.origin is not None:
            self.origin.fetch(path)

    @property
    def files(self) -> tuple[DamagedFile, ...]:
        """One error for each file, by path."""
        return tuple(self._found[path] for path in sorted(self._found))

    @property
    def by_file(self) -> Mapping[Path, DamagedFile]:
        """The error of each file."""
        return dict(self._found)

    def learn(self, found: Mapping[Path, DamagedFile]) -> None:
        """Take in what was noted elsewhere."""
        self._found |= found

    def note(self, path: Path, error: Exception) -> None:
        """Note a file. A newer format is no damage, nor is an outage: their errors go on.

        Raises:
            NewerFormat, RemoteUnavailable: that is the error.
        """
        if isinstance(error, NewerFormat | RemoteUnavailable):
            raise error
        reason = str(error) if isinstance(error, DamagedFile) else f"{path} can't be read ({error})"
        remedy = "" if isinstance(error, DamagedFile) else "; the rest of the run is fine."
        if self.origin is not None:
            reason = reason.replace(str(path), self.origin.shown(path))
        self._found[path] = DamagedFile(f"{reason}{remedy}")

    def paths(self) -> frozenset[Path]:
        """The files that could not be read."""
        return frozenset(self._found)

    def document(self, path: Path) -> bytes | None:
        """The bytes of a small file, or None where there is none or it can't be read."""
        try:
            self.fetch(path)
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note(path, error)
            return None

    def parsed(self, path: Path, decode: Callable[[bytes, str], T]) -> T | None:
        """A small file decoded; None where there is none, where it is empty or can't be read.

        An attempt's file is empty for the moment between its claim and its writing.
        """
        payload = self.document(path)
        if not payload:
            return None
        try:
            return decode(payload, str(path))
        except UNREADABLE as error:
            self.note(path, error)
            return None

    def rows(
        self, path: Path, table: pa.Table, decode: Callable[[pa.Table], Iterator[T]]
    ) -> Iterator[T]:
        """The decoded rows of a table, up to one that does not decode, as they are asked for."""
        try:
            yield from decode(table)
        except UNREADABLE as error:
            self.note(path, error)

    def tables(
        self,
        path: Path,
        expected: pa.Schema,
        choose: Callable[[Sequence[str]], list[str]],
        where: RowFilter = EVERY_ROW,
    ) -> Iterator[pa.Table]:
        """The rows that pass, one table for each row group; nothing where it can't be read.

        `expected` has the columns of its kind; `choose` picks those to read.
        """
        try:
            self.fetch(path)
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                check_format(file.schema_arrow, str(path))
                types = dict(zip(expected.names, expected.types, strict=True))
                check_columns(file.schema_arrow, types, types, str(path))
                columns = choose(file.schema_arrow.names)
                for group in range(file.num_row_groups):
                    table = _read(file, group, columns, where)
                    if table.num_rows:
                        yield table
        except FileNotFoundError:
            return
        except UNREADABLE as error:
            self.note(path, error)

    def verify(self, path: Path) -> int:
        """Number of rows by the file's footer; 0 where it can't be read."""
        try:
            self.fetch(path)
            with pq.ParquetFile(path) as file:
                check_format(file.schema_arrow, str(path))
                return file.metadata.num_rows
        except FileNotFoundError:
            return 0
        except UNREADABLE as error:
            self.note(path, error)
            return 0


def _read(file: pq.ParquetFile, group: int, columns: list[str], where: RowFilter) -> pa.Table:
    """One row group, filtered; its content is read only where a row passes."""
    if not where.columns:
        return file.read_row_group(group, columns=columns, use_threads=False)
    kept = where.kept(file.read_row_group(group, columns=where.columns, use_threads=False))
    if not pc.any(kept).as_py():
        return file.schema_arrow.empty_table().select(columns)
    return file.read_row_group(group, columns=columns, use_threads=False).filter(kept)


def every_column(present: Sequence[str]) -> list[str]:
    """All columns of a file."""
    return list(present)


def visible(folder: Path) -> list[Path]:
    """Files of a folder, without those that are being written; empty where it does not exist."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
