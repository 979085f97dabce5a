"""The database behind an index: its tables, and Arrow tables that go into them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rlvr.errors import ConfigurationError
from rlvr.runs.buffers import to_numpy
from rlvr.runs.executing import MEMORY_LIMIT, locked_database
from rlvr.schema import COLUMNS

if TYPE_CHECKING:
    import duckdb

TAGGED = r"""regexp_replace(payload, '\{"\$rlvr:float":"(-?\w+)"\}', '"\1"', 'g')"""
"""JSON with its tagged NaN and infinities as texts, which cast to numbers."""

_SQL: Mapping[pa.DataType, str] = {
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.list_(pa.int64()): "BIGINT[]",
    pa.list_(pa.float64()): "DOUBLE[]",
}
SQL_TYPES: Mapping[str, str] = {c.name: _SQL[c.type] for c in COLUMNS if c.type in _SQL}
"""By column; rewards have none, since each component has a column of its own."""

_TABLES = """
CREATE TABLE held.calls (
    rid BIGINT, turn BIGINT, name VARCHAR, seconds DOUBLE, error VARCHAR,
    malformed BOOLEAN, rolled_back BOOLEAN);
CREATE TABLE held.without_calls (rid BIGINT);
CREATE TABLE held.parts (
    rid BIGINT, place BIGINT, name VARCHAR, value DOUBLE, weight DOUBLE, status VARCHAR);
CREATE TABLE held.notes (
    id VARCHAR, kind VARCHAR, source VARCHAR, update BIGINT, written_at DOUBLE, payload VARCHAR);
CREATE TABLE held.logged (
    step BIGINT, attempt BIGINT, mode VARCHAR, logged_at DOUBLE, name VARCHAR, value DOUBLE);
"""


class Tables:
    """An empty database in memory with the tables that do not depend on the columns.

    `compressed`: what is taken in is compressed when it settles.
    """

    def __init__(self) -> None:
        self.compressed = False
        self.database: duckdb.DuckDBPyConnection = locked_database()
        self.database.execute(_TABLES)

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """DuckDB answers Ctrl-C with an error of its own, which is none of ours.

        Raises:
            ConfigurationError: there is no memory for it.
        """
        import duckdb

        try:
            self.database.execute(statement, list(values))
        except duckdb.OutOfMemoryException as error:
            raise ConfigurationError(
                f"what the question needs of this run takes more than {MEMORY_LIMIT}; name the"
                " columns that you need (not *), or filter with where= by step."
            ) from error
        except RuntimeError as error:
            if str(error) == "Query interrupted":
                raise KeyboardInterrupt from error
            raise

    def settle(self) -> None:
        """Say that what was taken in will stay as it is for now."""
        if self.compressed:
            self.execute("CHECKPOINT held")

    def take_in(self, table: pa.Table, insert: str) -> None:
        """Execute a statement that finds the table under the name `incoming`."""
        self.database.register("incoming", table)
        try:
            self.execute(insert)
        finally:
            self.database.unregister("incoming")


def entries(rewards: Any) -> tuple[Any, Any, Any]:
    """A map column, flat: the row of each entry, in order, its key and its value."""
    offsets = to_numpy(rewards.offsets)
    counts = np.diff(offsets)
    rows = np.repeat(np.arange(len(rewards)), counts)
    inside = slice(int(offsets[0]), int(offsets[-1])) if len(offsets) else slice(0, 0)
    return rows, rewards.keys[inside], rewards.items[inside]
