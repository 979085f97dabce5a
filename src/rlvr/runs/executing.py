"""Running SQL in a database that reaches neither files nor the network, and can be stopped."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rlvr.errors import ConfigurationError
from rlvr.runs.frames import polars_frame

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl

MEMORY_LIMIT = "1GB"
"""What the tables of an index take at most, with what a question over them needs meanwhile."""

MAX_ROWS = 1_000_000
MAX_BYTES = 256 << 20
"""Of a result; the rows after it are cut, as those after `limit` are."""

_LOOK_EVERY_S = 0.05
_MESSAGE_CHARS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The rows that a query gave. `cut` says that there are more: than were asked for, or than
    MAX_BYTES hold."""

    table: pa.Table
    cut: bool = False

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.table.column_names)

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as tuples. What is absent is None, and NaN is NaN."""
        columns: list[list[Any]] = [column.to_pylist() for column in self.table.columns]
        return list(zip(*columns, strict=True))

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self.table

    def to_pandas(self) -> "pd.DataFrame":
        """The rows as a pandas data frame, which shows None and NaN alike in numbers."""
        return self.table.to_pandas()

    def to_polars(self) -> "pl.DataFrame":
        """The rows as a polars data frame.

        Raises:
            MissingDependency: polars is not installed.
        """
        return polars_frame(self.table)


def locked_database() -> "duckdb.DuckDBPyConnection":
    """An empty database in memory that can't be made to open a file or a connection.

    Another one, `held`, is attached to it, whose tables a CHECKPOINT compresses. DuckDB makes none
    by itself: it would compress what is half loaded, and that again with all that follows.
    """
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "memory_limit": MEMORY_LIMIT,
        },
    )
    connection.execute("ATTACH ':memory:' AS held (COMPRESS)")
    connection.execute("SET checkpoint_threshold = '1TB'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET error_on_division_by_zero = false")
    connection.execute("SET lock_configuration = true")
    return connection


def check_question(connection: "duckdb.DuckDBPyConnection", query: str) -> None:
    """See that the text is one question, which changes nothing.

    Raises:
        ConfigurationError: it is something else, or no SQL.
    """
    import duckdb

    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise ConfigurationError(explained(error)) from error
    if len(statements) != 1:
        raise ConfigurationError(
            f"write one SELECT statement; this is {len(statements)} statements."
        )
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rpartition(".")[2]
        raise ConfigurationError(f"only SELECT is possible here; this is {kind}.")


def answered(
    connection: "duckdb.DuckDBPyConnection",
    query: str,
    values: Sequence[object] = (),
    *,
    limit: int = MAX_ROWS,
    timeout_s: float | None = None,
) -> Result:
    """The first `limit` rows that a query gives. Ctrl-C stops it.

    Raises:
        ConfigurationError: the query is wrong, or took longer than `timeout_s` or more memory than
            it may.
    """
    import duckdb

    cursor = connection.cursor()
    found: list[Result] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.append(_fetched(cursor, query, values, limit))
        except BaseException as error:  # noqa: BLE001  it is raised by the thread that waits
            failed.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="rlvr-query", daemon=True)
    thread.start()
    stopped = _stopped(done, cursor, timeout_s)
    thread.join()
    cursor.close()
    if stopped:
        raise ConfigurationError(f"the query took longer than {timeout_s:g} s and was stopped.")
    for error in failed:
        if isinstance(error, duckdb.Error):
            raise ConfigurationError(explained(error)) from error
        raise error
    return found[0]


def explained(error: Exception) -> str:
    """DuckDB's message without the query that it repeats."""
    said = str(error).split("\n\nLINE ")[0].strip()
    text = " ".join(said.split())
    cut = text if len(text) <= _MESSAGE_CHARS else text[:_MESSAGE_CHARS] + "..."
    return f"the query can't be answered: {cut}"


def _stopped(
    done: threading.Event, cursor: "duckdb.DuckDBPyConnection", timeout_s: float | None
) -> bool:
    """Waits until it is done; True where it was stopped for its time."""
    waited = 0.0
    try:
        while not done.wait(_LOOK_EVERY_S):  # short waits, since a long one can't be interrupted
            waited += _LOOK_EVERY_S
            if timeout_s is not None and waited >= timeout_s:
                cursor.interrupt()
                done.wait()
                return True
    except BaseException:
        cursor.interrupt()
        done.wait()
        raise
    return False


def _fetched(
    cursor: "duckdb.DuckDBPyConnection", query: str, values: Sequence[object], limit: int
) -> Result:
    reader = cursor.sql(query, params=list(values)).to_arrow_reader(1 << 16)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    full = False
    for batch in reader:
        full = bool(batches) and size + batch.nbytes > MAX_BYTES
        if full:
            break
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > limit:
            break
    table = pa.Table.from_batches(batches, schema=reader.schema)
    return Result(table=table.slice(0, limit), cut=full or rows > limit)
