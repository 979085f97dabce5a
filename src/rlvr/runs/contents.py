"""What an index holds of the content of rollouts: their tool calls, their reward components.

Both come from JSON texts, and are read when they are first asked for.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.errors import DamagedFile
from rlvr.runs.batches import RecordedBatch
from rlvr.runs.buffers import whole_numbers
from rlvr.runs.files import Damage
from rlvr.runs.filtering.names import REWARDS, quoted
from rlvr.runs.tables import TAGGED, Tables, entries
from rlvr.store import BatchName

CALLS = "tool_results"
"""The column that tool calls come from."""

PARTS = "components"
"""The column that weights and statuses of reward components come from."""

_NAMES = {CALLS: ("id", "step", CALLS), PARTS: ("id", "step", REWARDS, PARTS)}
_OF_ROLLOUTS = "JOIN held.rollouts r ON r.step = i.step AND r.id = i.id"
"""The step lets rows of others be passed over."""
_ERROR_CHARS = 200

_CALLS = """
INSERT INTO held.calls
SELECT rid, c.turn, c.name, c.duration_s, left(c.error, {chars}),
       coalesce(c.malformed, false), coalesce(c.rolled_back, false)
FROM (
    SELECT r.rid, unnest(from_json({payload}, '[{{"turn": "BIGINT", "name": "VARCHAR",
        "duration_s": "DOUBLE", "error": "VARCHAR", "malformed": "BOOLEAN",
        "rolled_back": "BOOLEAN"}}]')) AS c
    FROM (SELECT id, step, tool_results AS payload FROM incoming) i {of_rollouts}
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
    FROM incoming i {of_rollouts}
)
"""


Read = Callable[[Sequence[RecordedBatch], Sequence[str]], Iterator[pa.Table]]
"""Columns of batches, as tables."""


class Contents:
    """The tables `held.calls` and `held.parts`, of rollouts that `held.rollouts` has."""

    def __init__(self, tables: Tables, damage: Damage, read: Read) -> None:
        self._tables = tables
        self._damage = damage
        self._read = read
        self._done: dict[str, set[BatchName]] = {CALLS: set(), PARTS: set()}

    def clear(self) -> None:
        """Hold nothing."""
        for done in self._done.values():
            done.clear()
        self._tables.execute(
            "DELETE FROM held.calls; DELETE FROM held.without_calls; DELETE FROM held.parts"
        )

    def load(self, column: str, batches: Sequence[RecordedBatch]) -> None:
        """Hold what comes from CALLS or PARTS of these batches."""
        done = self._done[column]
        new = [batch for batch in batches if batch.name not in done]
        insert = self._insert_calls if column == CALLS else self._insert_parts
        try:
            for table in self._read(new, _NAMES[column]):
                insert(self._mended(table, column, new))
            if new:
                self._tables.settle()
            done.update(batch.name for batch in new)
        except BaseException:
            self.clear()  # what was half loaded would be loaded twice
            raise

    def _mended(self, table: pa.Table, column: str, batches: Sequence[RecordedBatch]) -> pa.Table:
        """The table with nothing where a cell is no JSON list; the files of these are noted."""
        bad = _NO_LIST.format(quoted(column))
        self._tables.database.register("incoming", table)
        try:
            found = self._tables.database.execute(f"SELECT id FROM incoming WHERE {bad}").fetchall()
        finally:
            self._tables.database.unregister("incoming")
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
        lost = table.filter(pc.is_null(table["tool_results"])).select(["id", "step"])
        if lost.num_rows:
            self._tables.take_in(
                lost,
                f"INSERT INTO held.without_calls SELECT r.rid FROM incoming i {_OF_ROLLOUTS}",
            )
        self._tables.take_in(
            table, _CALLS.format(payload=TAGGED, chars=_ERROR_CHARS, of_rollouts=_OF_ROLLOUTS)
        )

    def _insert_parts(self, table: pa.Table) -> None:
        """One row for each component: its name and value, and the JSON of the rest of it."""
        rows, keys, values = entries(table[REWARDS].combine_chunks())
        first = np.searchsorted(rows, rows)
        parts = pa.table(
            {
                "id": table["id"].combine_chunks().take(whole_numbers(rows)),
                "step": table["step"].combine_chunks().take(whole_numbers(rows)),
                "place": whole_numbers(np.arange(len(rows)) - first),
                "name": keys,
                "value": values,
                "shapes": table["components"].combine_chunks().take(whole_numbers(rows)),
            }
        )
        payload = TAGGED.replace("payload", "json_extract(shapes, '$[' || place || ']')::VARCHAR")
        self._tables.take_in(parts, _PARTS.format(payload=payload, of_rollouts=_OF_ROLLOUTS))
