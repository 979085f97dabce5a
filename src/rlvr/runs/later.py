"""Reading what is written beside the trajectories: metrics and annotations."""

from collections.abc import Iterator
from pathlib import Path

from rlvr.codec import annotations_from_table, metrics_from_table
from rlvr.record import Annotation, MetricRow
from rlvr.runs.files import Damage, RowFilter, every_column, visible
from rlvr.store import ANNOTATIONS_FOLDER, METRICS_FOLDER, annotations_path

_Key = tuple[str, str, str, bool, int]


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


def _key(note: Annotation) -> _Key:
    return note.id, note.kind, note.source, note.update is not None, note.update or 0
