"""The tables behind an index: columns of a run's rollouts, read file by file into DuckDB.

`held.rollouts` has a row for each rollout, superseded ones too, under a number `rid`; each reward
component is a column of its own. `held.calls` and `held.parts` come from the content, when they are
first asked for.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.codec import ANNOTATIONS_SCHEMA, METRICS_SCHEMA
from rlvr.errors import ConfigurationError, DamagedFile
from rlvr.record import FORWARD_EVIDENCE, FORWARD_FIELDS, UPDATE_EVIDENCE, Mode
from rlvr.runs.batches import Batches, BatchReader, RecordedBatch
from rlvr.runs.buffers import to_numpy, whole_numbers
from rlvr.runs.columns import just, presented, wanted_schema
from rlvr.runs.executing import MEMORY_LIMIT, locked_database
from rlvr.runs.files import Damage, every_column
from rlvr.runs.filtering import NO_BOUNDS, Bounds
from rlvr.runs.filtering.names import REWARDS, quoted
from rlvr.runs.later import LaterKnowledge, metric_files
from rlvr.runs.notes import annotation_files
from rlvr.schema import COLUMNS
from rlvr.store import BatchName

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

ALWAYS = ("id", "mode", "step", "batch", "attempt", "rank")
"""Columns that every index holds: they find rows, order them, and tell which are superseded."""

IN_ORDER = "attempt, step, mode, batch, rank, length(id), id"
"""The order of `Run.trajectories`."""

MAX_COMPONENTS = 256
"""Components that get a column; a scorer that names each one anew must not grow the table."""

_ERROR_CHARS = 200
_CLIPPED = "clipped_share"
_TAGGED = r"""regexp_replace(payload, '\{"\$rlvr:float":"(-?\w+)"\}', '"\1"', 'g')"""
"""JSON with its tagged NaN and infinities as texts, which cast to numbers."""

_SQL_TYPES: Mapping[pa.DataType, str] = {
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.list_(pa.int64()): "BIGINT[]",
    pa.list_(pa.float64()): "DOUBLE[]",
}
_TYPES = {column.name: column.type for column in COLUMNS}

_TABLES = """
CREATE SCHEMA held;
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

_NO_CONTENT = "DELETE FROM held.calls; DELETE FROM held.without_calls; DELETE FROM held.parts"

_CALLS = """
INSERT INTO held.calls
SELECT rid, c.turn, c.name, c.duration_s, left(c.error, {chars}),
       coalesce(c.malformed, false), coalesce(c.rolled_back, false)
FROM (
    SELECT r.rid, unnest(from_json({payload}, '[{{"turn": "BIGINT", "name": "VARCHAR",
        "duration_s": "DOUBLE", "error": "VARCHAR", "malformed": "BOOLEAN",
        "rolled_back": "BOOLEAN"}}]')) AS c
    FROM (SELECT id, tool_results AS payload FROM incoming) i JOIN held.rollouts r ON r.id = i.id
)
"""
_NO_LIST = "CASE WHEN json_valid({0}) THEN json_type({0}) <> 'ARRAY' ELSE {0} IS NOT NULL END"
"""Whether a text, which may be absent, is anything but a JSON list."""

_PARTS = """
INSERT INTO held.parts
SELECT rid, place, name, value, shape.weight,
       CASE WHEN NOT lost THEN coalesce(shape.status, 'ok') END
FROM (
    SELECT r.rid, place, i.name, i.value,
        from_json({payload}, '{{"weight": "DOUBLE", "status": "VARCHAR"}}') AS shape,
        shapes IS NULL AS lost
    FROM incoming i JOIN held.rollouts r ON r.id = i.id
)
"""


class Held:
    """What an index holds of one run. One thread at a time loads; others may ask meanwhile."""

    def __init__(self, folder: "Path", batches: Batches, damage: Damage) -> None:
        self._folder = folder
        self._batches = batches
        self._damage = damage
        self._lock = threading.RLock()
        self._columns: tuple[str, ...] = ALWAYS
        self._loaded: set[BatchName] = set()
        self._content: dict[str, set[BatchName]] = {"tool_results": set(), "components": set()}
        self._files: set[Path] = set()
        self._next = 0
        self.components: dict[str, str] = {}
        self.database: duckdb.DuckDBPyConnection = locked_database()
        self.database.execute(_TABLES)
        self._create()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are held, in the order of the schema."""
        held = set(self._columns)
        return tuple(column.name for column in COLUMNS if column.name in held)

    @property
    def batches(self) -> int:
        """How many batches are loaded."""
        return len(self._loaded)

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
        for table in self._tables(batches, [*self.columns]):
            self._insert(table)
        self._loaded.update(batch.name for batch in batches)
        if LaterKnowledge.concerns(self._columns):
            changed = self.load_notes((FORWARD_EVIDENCE, UPDATE_EVIDENCE))
            if changed or self._next > before:
                self._fill()

    def load_calls(self) -> None:
        """Load the executed tool calls of all rollouts that are held."""
        self._load_content("tool_results", ("id", "tool_results"), self._insert_calls)

    def load_parts(self) -> None:
        """Load the reward components of all rollouts that are held, with weight and status."""
        self._load_content("components", ("id", REWARDS, "components"), self._insert_parts)

    def load_notes(self, kinds: Sequence[str] | None = None) -> bool:
        """Load new annotations, of these kinds or of all; whether there were any."""
        paths = (
            annotation_files(self._folder)
            if kinds is None
            else [path for kind in kinds for path in annotation_files(self._folder, kind)]
        )
        columns = "id, kind, source, update, written_at, payload"
        return self._load_files(
            paths,
            ANNOTATIONS_SCHEMA,
            f"INSERT INTO held.notes ({columns}) SELECT {columns} FROM incoming",
        )

    def load_metrics(self) -> None:
        """Load what the trainer logged since the last look."""
        self._load_files(
            metric_files(self._folder),
            METRICS_SCHEMA,
            "INSERT INTO held.logged SELECT step, attempt, mode, logged_at, v.key, v.value FROM"
            ' (SELECT *, unnest(map_entries("values")) AS v FROM incoming)',
        )

    def _create(self) -> None:
        """The empty table of rollouts, with the columns that are held."""
        self._loaded.clear()
        self._next = 0
        self.components.clear()
        for done in self._content.values():
            done.clear()
        named = [name for name in self.columns if name != REWARDS]
        cells = ", ".join(f"{quoted(name)} {_SQL_TYPES[_TYPES[name]]}" for name in named)
        self.database.execute(
            f"CREATE OR REPLACE TABLE held.rollouts (rid BIGINT, {cells}); {_NO_CONTENT}"
        )

    def _tables(self, batches: Sequence[RecordedBatch], names: Sequence[str]) -> Iterator[pa.Table]:
        """The columns of the batches, some ten thousand rows at a time."""
        schema = wanted_schema(names)
        with BatchReader(self._batches, self._damage) as reader:
            pieces = reader.pieces(batches, just(names), apart=False)
            yield from presented(pieces, schema, self._damage)

    def _insert(self, table: pa.Table) -> None:
        arrays: dict[str, Any] = {"rid": whole_numbers(np.arange(table.num_rows) + self._next)}
        self._next += table.num_rows
        for name in table.column_names:
            if name == REWARDS:
                arrays |= self._component_columns(table[name].combine_chunks())
            else:
                arrays[name] = table[name]
        self._with(pa.table(arrays), "INSERT INTO held.rollouts BY NAME SELECT * FROM incoming")

    def _component_columns(self, rewards: Any) -> dict[str, "pa.Array[Any]"]:
        """A column for each component. Of two of one name in a rollout the first counts."""
        rows, keys, values = _entries(rewards)
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
            self.database.execute(f"ALTER TABLE held.rollouts ADD COLUMN {column} DOUBLE")
            self.components[name] = column
        return self.components[name]

    def _load_content(
        self, column: str, names: Sequence[str], insert: Callable[[pa.Table], None]
    ) -> None:
        with self._lock:
            done = self._content[column]
            new = [b for b in self._batches.all() if b.name in self._loaded and b.name not in done]
            try:
                for table in self._tables(new, names):
                    insert(self._mended(table, column, new))
                done.update(batch.name for batch in new)
            except BaseException:
                for loaded in self._content.values():
                    loaded.clear()
                self.database.execute(_NO_CONTENT)  # what was half loaded would be loaded twice
                raise

    def _mended(self, table: pa.Table, column: str, batches: Sequence[RecordedBatch]) -> pa.Table:
        """The table with nothing where a cell is no JSON list; the files of these are noted."""
        bad = _NO_LIST.format(quoted(column))
        self.database.register("incoming", table)
        try:
            found = self.database.execute(f"SELECT id FROM incoming WHERE {bad}").fetchall()
        finally:
            self.database.unregister("incoming")
        if not found:
            return table
        ids = {id for (id,) in found}
        for batch in batches:
            own = sum(id.startswith(f"{batch.name.stem}-") for id in ids)
            if own:
                path = batch.place.path
                said = f"{path}: the {column} of {own} rollouts are no JSON, and are left out."
                self._damage.note(path, DamagedFile(said))
        lost = pc.is_in(table["id"], pa.array(sorted(ids), pa.string()))
        cells = pc.if_else(lost, pa.scalar(None, pa.string()), table[column])
        return table.set_column(table.column_names.index(column), column, cells)

    def _insert_calls(self, table: pa.Table) -> None:
        lost = table.filter(pc.is_null(table["tool_results"])).select(["id"])
        if lost.num_rows:
            self._with(
                lost,
                "INSERT INTO held.without_calls SELECT r.rid FROM incoming i"
                " JOIN held.rollouts r ON r.id = i.id",
            )
        self._with(table, _CALLS.format(payload=_TAGGED, chars=_ERROR_CHARS))

    def _insert_parts(self, table: pa.Table) -> None:
        """One row for each component: its name and value, and the JSON of the rest of it."""
        rows, keys, values = _entries(table[REWARDS].combine_chunks())
        first = np.searchsorted(rows, rows)
        parts = pa.table(
            {
                "id": table["id"].combine_chunks().take(whole_numbers(rows)),
                "place": whole_numbers(np.arange(len(rows)) - first),
                "name": keys,
                "value": values,
                "shapes": table["components"].combine_chunks().take(whole_numbers(rows)),
            }
        )
        payload = _TAGGED.replace("payload", "json_extract(shapes, '$[' || place || ']')::VARCHAR")
        self._with(parts, _PARTS.format(payload=payload))

    def _load_files(self, paths: Sequence["Path"], expected: pa.Schema, insert: str) -> bool:
        with self._lock:
            new = [path for path in paths if path not in self._files]
            try:
                for path in new:
                    for table in self._damage.tables(path, expected, every_column):
                        self._with(table, insert)
                self._files.update(new)
            except BaseException:
                self._files.clear()  # what was half loaded would be loaded twice
                self.database.execute("DELETE FROM held.notes; DELETE FROM held.logged")
                raise
            return bool(new)

    def _fill(self) -> None:
        """Fill what was absent with what annotations say, as `LaterKnowledge` does."""
        forward = [name for name in FORWARD_FIELDS if name in self._columns]
        for name in forward:
            cell = f"json_extract(payload, '$.{name}')"
            kind = _SQL_TYPES[_TYPES[name]]
            if kind.endswith("[]"):
                cell = f"try(from_json({cell}, '[\"{kind[:-2]}\"]'))"
            else:
                cell = f"try_cast(json_extract_string(payload, '$.{name}') AS {kind})"
            self._fill_one(
                name, FORWARD_EVIDENCE, f"last({cell} ORDER BY source, written_at)", cell
            )
        if _CLIPPED in self._columns:
            cell = f"try_cast(json_extract_string(payload, '$.{_CLIPPED}') AS DOUBLE)"
            self._fill_one(_CLIPPED, UPDATE_EVIDENCE, f"avg({cell})", cell)

    def _fill_one(self, column: str, kind: str, combined: str, cell: str) -> None:
        self._execute(
            f"""UPDATE held.rollouts AS r SET {quoted(column)} = n.found
            FROM (
                SELECT id, {combined} AS found
                FROM (
                    SELECT id, source, written_at, {_TAGGED} AS payload
                    FROM ({NEWEST_NOTES}) WHERE kind = ?
                ) WHERE {cell} IS NOT NULL GROUP BY id
            ) AS n
            WHERE r.id = n.id AND r.{quoted(column)} IS NULL""",
            [kind],
        )

    def _execute(self, statement: str, values: Sequence[object] = ()) -> None:
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

    def _with(self, table: pa.Table, insert: str) -> None:
        self.database.register("incoming", table)
        try:
            self._execute(insert)
        finally:
            self.database.unregister("incoming")


NEWEST_NOTES = """SELECT * FROM held.notes QUALIFY row_number() OVER (
    PARTITION BY id, kind, source, update ORDER BY written_at DESC, rowid DESC) = 1"""
"""The annotations that count."""


def _entries(rewards: Any) -> tuple[Any, Any, Any]:
    """A map column, flat: the row of each entry, in order, its key and its value."""
    offsets = to_numpy(rewards.offsets)
    counts = np.diff(offsets)
    rows = np.repeat(np.arange(len(rewards)), counts)
    inside = slice(int(offsets[0]), int(offsets[-1])) if len(offsets) else slice(0, 0)
    return rows, rewards.keys[inside], rewards.items[inside]
