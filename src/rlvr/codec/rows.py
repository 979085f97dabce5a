"""Annotations and metrics to Arrow tables, and back."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from rlvr.codec.text import dump, load, pack, unpack
from rlvr.codec.versions import check_format, stamp
from rlvr.record import Annotation, MetricRow

_ANNOTATION_TYPES: dict[str, pa.DataType] = {
    "id": pa.string(),
    "kind": pa.string(),
    "source": pa.string(),
    "update": pa.int64(),
    "written_at": pa.float64(),
    "payload": pa.string(),
}
ANNOTATIONS_SCHEMA = stamp(pa.schema(_ANNOTATION_TYPES))

_METRIC_TYPES: dict[str, pa.DataType] = {
    "step": pa.int64(),
    "attempt": pa.int64(),
    "mode": pa.string(),
    "logged_at": pa.float64(),
    "values": pa.map_(pa.string(), pa.float64()),
}
METRICS_SCHEMA = stamp(pa.schema(_METRIC_TYPES))


def annotations_to_table(annotations: Sequence[Annotation]) -> pa.Table:
    """One row for each annotation."""
    rows = [
        {
            "id": pack(note.id),
            "kind": pack(note.kind),
            "source": pack(note.source),
            "update": note.update,
            "written_at": float(note.written_at),
            "payload": dump(note.payload),
        }
        for note in annotations
    ]
    return pa.Table.from_pylist(rows, schema=ANNOTATIONS_SCHEMA)


def annotations_from_table(table: pa.Table) -> Iterator[Annotation]:
    """The annotation of each row.

    Raises:
        NewerFormat: a newer rlvr wrote the table.
        DamagedFile: the table is not one of ours.
        UndecodableText: a payload does not decode.
    """
    check_format(table.schema, "the table of annotations")
    for row in table.to_pylist():
        yield Annotation(
            id=unpack(row["id"]),
            kind=unpack(row["kind"]),
            source=unpack(row["source"]),
            update=row["update"],
            written_at=row["written_at"],
            payload=load(row["payload"]),
        )


def metrics_to_table(rows: Sequence[MetricRow]) -> pa.Table:
    """One row for each step that the trainer logged."""
    cells = [
        {
            "step": int(row.step),
            "attempt": int(row.attempt),
            "mode": pack(str(row.mode)),
            "logged_at": float(row.logged_at),
            "values": [(pack(name), float(value)) for name, value in row.values.items()],
        }
        for row in rows
    ]
    return pa.Table.from_pylist(cells, schema=METRICS_SCHEMA)


def metrics_from_table(table: pa.Table) -> Iterator[MetricRow]:
    """The metric row of each row.

    Raises:
        NewerFormat: a newer rlvr wrote the table.
        DamagedFile: the table is not one of ours.
    """
    check_format(table.schema, "the table of metrics")
    for row in table.to_pylist():
        yield MetricRow(
            step=row["step"],
            attempt=row["attempt"],
            mode=unpack(row["mode"]),
            logged_at=row["logged_at"],
            values={unpack(name): value for name, value in row["values"]},
        )
