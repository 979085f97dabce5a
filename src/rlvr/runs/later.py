"""Reading what is written beside the trajectories: metrics and annotations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from rlvr.codec import annotations_from_table, metrics_from_table, unpack
from rlvr.record import FORWARD_EVIDENCE, FORWARD_FIELDS, Annotation, MetricRow, Trajectory
from rlvr.runs.files import Damage, RowFilter, every_column, visible
from rlvr.store import ANNOTATIONS_FOLDER, METRICS_FOLDER, annotations_path

_Key = tuple[str, str, str, bool, int]
_FORWARD = frozenset(FORWARD_FIELDS)


def metric_files(folder: Path) -> list[Path]:
    """Files of metric rows."""
    return visible(folder / METRICS_FOLDER)


def annotation_files(folder: Path, kind: str | None = None) -> list[Path]:
    """Files of annotations, of one kind or of all."""
    if kind is not None:
        return visible((folder / annotations_path(kind, 0, 0, 0)).parent)
    return [path for kinds in visible(folder / ANNOTATIONS_FOLDER) for path in visible(kinds)]


def read_metrics(folder: Path, damage: Damage) -> Iterator[MetricRow]:
    """Every metric row, in the order of the files."""
    for path in metric_files(folder):
        for table in damage.tables(path, every_column):
            yield from damage.rows(path, table, metrics_from_table)


def read_annotations(
    folder: Path, damage: Damage, *, id: str | None, kind: str | None
) -> list[Annotation]:
    """The newest annotation of each (id, kind, source, update), in that order."""
    newest: dict[_Key, Annotation] = {}
    for path in annotation_files(folder, kind):
        for table in damage.tables(path, every_column, RowFilter(id=id)):
            for note in damage.rows(path, table, annotations_from_table):
                held = newest.get(_key(note))
                if held is None or held.written_at <= note.written_at:
                    newest[_key(note)] = note
    return [newest[key] for key in sorted(newest)]


class ForwardEvidence:
    """What other processes than rank 0 saw of the rollouts that they trained, by record id.

    It fills fields that are absent and changes none that is there.
    """

    def __init__(self, folder: Path, damage: Damage, *, id: str | None = None) -> None:
        notes = read_annotations(folder, damage, id=id, kind=FORWARD_EVIDENCE)
        self._known: Mapping[str, Mapping[str, Any]] = {note.id: note.payload for note in notes}

    @staticmethod
    def concerns(columns: Sequence[str]) -> bool:
        """Whether one of the columns can be filled."""
        return not _FORWARD.isdisjoint(columns)

    def fill(self, trajectory: Trajectory) -> Trajectory:
        """The trajectory with the absent fields of its evidence filled."""
        payload = self._known.get(trajectory.id or "", {})
        evidence = trajectory.evidence
        added: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in payload.items()
            if name in _FORWARD and getattr(evidence, name) is None
        }
        if not added:
            return trajectory
        return replace(trajectory, evidence=replace(evidence, **added))

    def fill_table(self, table: pa.Table) -> pa.Table:
        """A table with a column `id`, with absent cells filled."""
        ids: list[Any] = table["id"].to_pylist()
        payloads = [self._known.get(unpack(id), {}) for id in ids]
        if not any(payloads):
            return table
        for place, name in enumerate(table.column_names):
            if name in _FORWARD:
                cells = [
                    payload.get(name) if cell is None else cell
                    for cell, payload in zip(table[name].to_pylist(), payloads, strict=True)
                ]
                field = table.schema.field(place)
                table = table.set_column(place, field, pa.array(cells, type=field.type))
        return table


def _key(note: Annotation) -> _Key:
    return note.id, note.kind, note.source, note.update is not None, note.update or 0
