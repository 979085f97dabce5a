"""What a compacted file says of itself: which batches it holds, and in which of its rows.

The table stands in the file's footer, so that a trajectory is found by its id without a scan. Each
batch keeps what was particular to its own file: the columns that it did not have, and its notes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from rlvr.errors import DamagedFile
from rlvr.store.layout import BatchName

SEGMENTS_KEY = b"rlvr.segments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the file of a batch looked beside the compacted one.

    lacks: columns of the compacted file that it did not have. notes: its own metadata, such as the
    version of its derived columns and what was pruned of it.
    """

    lacks: frozenset[str] = frozenset()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """The notes as the metadata of a schema."""
        return {key.encode(): note.encode() for key, note in self.notes.items()}

    def columns(self, names: Sequence[str]) -> list[str]:
        """Those of the columns of the compacted file that the batch's own file had."""
        return [name for name in names if name not in self.lacks]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The rows of one batch in a compacted file: `rows` of them from row `first` on."""

    name: BatchName
    first: int
    rows: int
    shape: Shape

    @property
    def stop(self) -> int:
        """The row after its last."""
        return self.first + self.rows


def mark_segments(schema: pa.Schema, segments: Sequence[Segment]) -> pa.Schema:
    """The schema with the table of its batches, which lie one after another from row 0 on."""
    shapes: list[Shape] = []
    rows = []
    for segment in segments:
        if segment.shape not in shapes:
            shapes.append(segment.shape)
        rows.append([segment.name.stem, segment.rows, shapes.index(segment.shape)])
    table = {
        "shapes": [{"lacks": sorted(s.lacks), "notes": dict(s.notes)} for s in shapes],
        "segments": rows,
    }
    return schema.with_metadata({**(schema.metadata or {}), SEGMENTS_KEY: json.dumps(table)})


def segments_of(schema: pa.Schema, rows: int, where: str) -> tuple[Segment, ...]:
    """The batches that a compacted file of so many rows holds, in their order there.

    Raises:
        DamagedFile: it has no table of them, or one that does not fit its rows.
    """
    metadata: Mapping[bytes, bytes] = schema.metadata or {}
    try:
        segments = tuple(_decoded(json.loads(metadata[SEGMENTS_KEY])))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DamagedFile(
            f"{where} does not say which batches it holds ({error!r}); the files that it was made"
            " of are read in its place where they are still there."
        ) from error
    if sum(segment.rows for segment in segments) != rows:
        raise DamagedFile(f"{where} has {rows} rows, which is not what its batches say.")
    return segments


def _decoded(table: Any) -> Iterator[Segment]:
    shapes = [_shape(shape) for shape in table["shapes"]]
    first = 0
    for stem, rows, shape in table["segments"]:
        name = BatchName.parse(stem)
        if name is None or rows <= 0 or shape < 0:
            raise ValueError(f"{stem!r} with {rows!r} rows is no batch")
        yield Segment(name=name, first=first, rows=rows, shape=shapes[shape])
        first += rows


def _shape(shape: Any) -> Shape:
    notes = {str(key): str(note) for key, note in shape["notes"].items()}
    return Shape(lacks=frozenset(shape["lacks"]), notes=notes)
