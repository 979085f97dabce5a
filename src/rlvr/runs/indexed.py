"""What an index holds: columns of a run's rollouts, read file by file into DuckDB.

`held.rollouts` has a row for each rollout, superseded ones too, under a number `rid`; each reward
component is a column of its own.
"""

import threading
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rlvr.record import Mode
from rlvr.runs.batches import Batches, BatchReader, RecordedBatch
from rlvr.runs.buffers import to_numpy, whole_numbers
from rlvr.runs.columns import just, presented, wanted_schema
from rlvr.runs.contents import CALLS, PARTS, Contents
from rlvr.runs.files import Damage
from rlvr.runs.filtering import NO_BOUNDS, Bounds
from rlvr.runs.filtering.names import REWARDS, quoted
from rlvr.runs.later import LaterKnowledge
from rlvr.runs.noted import Noted
from rlvr.runs.tables import SQL_TYPES, Tables, entries
from rlvr.schema import COLUMNS
from rlvr.store import BatchName
from rlvr.utils.ahead import ahead

if TYPE_CHECKING:
    import duckdb

ALWAYS = ("id", "mode", "step", "batch", "attempt", "rank")
"""Columns that every index holds: they find rows, order them, and tell which are superseded."""

IN_ORDER = "attempt, step, mode, batch, rank, length(id), id"
"""The order of `Run.trajectories`."""

_BLOCK_ROWS = 122_880
"""The rows of DuckDB's row groups."""

MAX_COMPONENTS = 256
"""Components that get a column; a scorer that names each one anew must not grow the table."""


class Held:
    """What an index holds of one run. One thread at a time loads; others may ask meanwhile."""

    def __init__(self, folder: Path, batches: Batches, damage: Damage) -> None:
        self._batches = batches
        self._damage = damage
        self._lock = threading.RLock()
        self._columns: tuple[str, ...] = ALWAYS
        self._loaded: set[BatchName] = set()
        self._next = 0
        self.components: dict[str, str] = {}
        self._tables = Tables()
        self._contents = Contents(self._tables, damage, self._read)
        self._noted = Noted(folder, self._tables, damage)
        self._create()

    @property
    def database(self) -> "duckdb.DuckDBPyConnection":
        """The database that questions are asked of."""
        return self._tables.database

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are held, in the order of the schema."""
        held = set(self._columns)
        return tuple(column.name for column in COLUMNS if column.name in held)

    @property
    def batches(self) -> int:
        """How many batches are loaded."""
        return len(self._loaded)

    def compress(self) -> None:
        """Hold rows compressed that are loaded from now on."""
        self._tables.compressed = True

    def load(
        self,
        columns: Iterable[str],
        *,
        allow: Bounds = NO_BOUNDS,
        mode: Mode | None = None,
        step: int | range | None = None,
    ) -> int:
        """Load the new files that may hold such rows; returns how many rows they had.

        Columns that were not held so far make everything be read anew.

        Raises:
            NewerFormat: a file was written by a newer rlvr.
            ConfigurationError: they take more memory than an index may.
        """
        with self._lock:
            held = self._columns
            missing = [name for name in columns if name not in held]
            if missing:
                self._columns += tuple(dict.fromkeys(missing))
                self._create()
            found = self._batches.all(mode=mode, step=step)
            new = [b for b in found if b.name not in self._loaded and allow.allow(b.name)]
            before = self._next
            try:
                self._add(new)
            except BaseException:
                self._columns = held
                self._create()  # what was half loaded would be loaded twice
                raise
            return self._next - before

    def _add(self, batches: Sequence[RecordedBatch]) -> None:
        before = self._next
        tables = self._read(batches, self.columns)
        # Who spares memory holds one table at a time.
        for table in tables if self._tables.compressed else ahead(tables):
            self._add_rows(table)
            del table  # what is read next has room in its place
        if self._next and not before:
            self._tables.settle()
        self._loaded.update(batch.name for batch in batches)
        if LaterKnowledge.concerns(self._columns):
            changed = self._noted.load_filling()
            if changed or self._next > before:
                self._noted.fill(self._columns)

    def load_calls(self) -> None:
        """Load the executed tool calls of all rollouts that are held."""
        self._load_content(CALLS)

    def load_parts(self) -> None:
        """Load the reward components of all rollouts that are held, with weight and status."""
        self._load_content(PARTS)

    def load_notes(self) -> None:
        """Load new annotations of every kind."""
        with self._lock:
            self._noted.load_notes()

    def load_metrics(self) -> None:
        """Load what the trainer logged since the last look."""
        with self._lock:
            self._noted.load_metrics()

    def _load_content(self, column: str) -> None:
        with self._lock:
            held = [batch for batch in self._batches.all() if batch.name in self._loaded]
            self._contents.load(column, held)

    def _create(self) -> None:
        """The empty table of rollouts, with the columns that are held."""
        self._loaded.clear()
        self._next = 0
        self.components.clear()
        named = [name for name in self.columns if name != REWARDS]
        cells = ", ".join(f"{quoted(name)} {SQL_TYPES[name]}" for name in named)
        self._contents.clear()
        self._tables.execute(f"CREATE OR REPLACE TABLE held.rollouts (rid BIGINT, {cells})")

    def _read(
        self, batches: Sequence[RecordedBatch], names: Sequence[str]
    ) -> Generator[pa.Table, None, None]:
        """The columns of the batches, some ten thousand rows at a time."""
        schema = wanted_schema(names)
        with BatchReader(self._batches, self._damage) as reader:
            pieces = reader.pieces(batches, just(names), apart=False)
            yield from presented(pieces, schema, self._damage)

    def _add_rows(self, table: pa.Table) -> None:
        """Take rows in, and compress each block that is full: another would be compressed once
        more with the rows that come to it."""
        while table.num_rows:
            left = _BLOCK_ROWS - self._next % _BLOCK_ROWS
            self._insert(table.slice(0, left))
            if table.num_rows >= left:
                self._tables.settle()
            table = table.slice(left)

    def _insert(self, table: pa.Table) -> None:
        arrays: dict[str, Any] = {"rid": whole_numbers(np.arange(table.num_rows) + self._next)}
        self._next += table.num_rows
        for name in table.column_names:
            if name == REWARDS:
                arrays |= self._component_columns(table[name].combine_chunks())
            else:
                arrays[name] = table[name]
        self._tables.take_in(
            pa.table(arrays), "INSERT INTO held.rollouts BY NAME SELECT * FROM incoming"
        )

    def _component_columns(self, rewards: Any) -> dict[str, "pa.Array[Any]"]:
        """A column for each component. Of two of one name in a rollout the first counts."""
        rows, keys, values = entries(rewards)
        coded = keys.dictionary_encode()
        places = to_numpy(coded.indices)
        columns: dict[str, pa.Array[Any]] = {}
        for place, name in enumerate(coded.dictionary.to_pylist()):
            if name not in self.components and len(self.components) >= MAX_COMPONENTS:
                continue
            where = np.flatnonzero(places == place)
            taken = np.full(len(rewards), -1, dtype=np.int64)
            taken[rows[where][::-1]] = where[::-1]
            at = whole_numbers(taken, known=taken >= 0)
            columns[self._component(str(name))] = values.take(at)
        return columns

    def _component(self, name: str) -> str:
        if name not in self.components:
            column = f"component_{len(self.components)}"
            self._tables.execute(f"ALTER TABLE held.rollouts ADD COLUMN {column} DOUBLE")
            self.components[name] = column
        return self.components[name]
