"""What an index holds of annotations and of what the trainer logged."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from rlvr.codec import ANNOTATIONS_SCHEMA, METRICS_SCHEMA
from rlvr.record import FORWARD_EVIDENCE, FORWARD_FIELDS, UPDATE_EVIDENCE
from rlvr.runs.files import Damage, every_column
from rlvr.runs.filtering.names import quoted
from rlvr.runs.later import metric_files
from rlvr.runs.notes import annotation_files
from rlvr.runs.tables import SQL_TYPES, TAGGED, Tables

NEWEST_NOTES = """SELECT * FROM held.notes QUALIFY row_number() OVER (
    PARTITION BY id, kind, source, update ORDER BY written_at DESC, rowid DESC) = 1"""
"""The annotations that count."""

_CLIPPED = "clipped_share"


class Noted:
    """The tables `held.notes` and `held.logged`, and what they fill in `held.rollouts`."""

    def __init__(self, folder: Path, tables: Tables, damage: Damage) -> None:
        self._folder = folder
        self._tables = tables
        self._damage = damage
        self._files: set[Path] = set()

    def load_filling(self) -> bool:
        """Load new annotations that may fill columns; whether there were any."""
        return self.load_notes((FORWARD_EVIDENCE, UPDATE_EVIDENCE))

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

    def _load_files(self, paths: Sequence[Path], expected: pa.Schema, insert: str) -> bool:
        new = [path for path in paths if path not in self._files]
        try:
            for path in new:
                for table in self._damage.tables(path, expected, every_column):
                    self._tables.take_in(table, insert)
            self._files.update(new)
        except BaseException:
            self._files.clear()  # what was half loaded would be loaded twice
            self._tables.execute("DELETE FROM held.notes; DELETE FROM held.logged")
            raise
        return bool(new)

    def fill(self, columns: Sequence[str]) -> None:
        """Fill what is absent in these columns with what annotations say, as `LaterKnowledge`
        does."""
        for name in (name for name in FORWARD_FIELDS if name in columns):
            cell = f"json_extract(payload, '$.{name}')"
            kind = SQL_TYPES[name]
            if kind.endswith("[]"):
                cell = f"try(from_json({cell}, '[\"{kind[:-2]}\"]'))"
            else:
                cell = f"try_cast(json_extract_string(payload, '$.{name}') AS {kind})"
            self._fill_one(
                name, FORWARD_EVIDENCE, f"last({cell} ORDER BY source, written_at)", cell
            )
        if _CLIPPED in columns:
            cell = f"try_cast(json_extract_string(payload, '$.{_CLIPPED}') AS DOUBLE)"
            self._fill_one(_CLIPPED, UPDATE_EVIDENCE, f"avg({cell})", cell)

    def _fill_one(self, column: str, kind: str, combined: str, cell: str) -> None:
        self._tables.execute(
            f"""UPDATE held.rollouts AS r SET {quoted(column)} = n.found
            FROM (
                SELECT id, {combined} AS found
                FROM (
                    SELECT id, source, written_at, {TAGGED} AS payload
                    FROM ({NEWEST_NOTES}) WHERE kind = ?
                ) WHERE {cell} IS NOT NULL GROUP BY id
            ) AS n
            WHERE r.id = n.id AND r.{quoted(column)} IS NULL""",
            [kind],
        )
