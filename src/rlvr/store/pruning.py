"""Making trajectory files smaller after they were written: what can go, in which order, and how.

A file keeps its name, its rows and their scalars, so that ids stay valid. It is replaced whole, by
the protocol of every commit, together with the note of what is gone: a reader sees the old file or
the new one.
"""

import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.codec import encode_document, mark_pruned, pruned_parts, unpack
from rlvr.errors import DamagedFile
from rlvr.record import FORWARD_TOKENS, UPDATE_TOKENS, Part, Pruned
from rlvr.store.base import Store
from rlvr.store.layers import BatchFilter, Place
from rlvr.store.layout import RETENTION_FILE, BatchName, annotations_path, parse_record_id
from rlvr.store.local import LocalStore
from rlvr.store.opened import UNREADABLE, OpenFiles
from rlvr.store.parquet import parquet_bytes
from rlvr.store.parts import COLUMNS_OF
from rlvr.store.rewriting import rewrite
from rlvr.store.segments import Segment, Shape
from rlvr.store.sweep import layers_of

NEWEST_STEPS = 1
"""So many recorded steps are never touched by a size limit, and the one that is being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """What a batch takes: bytes in all, and of the parts of it that can go.

    In a compacted file (`segment`) it is the batch's share of the row groups that it lies in.
    """

    path: Path
    name: BatchName
    file_bytes: int
    token_bytes: int
    message_bytes: int
    segment: Segment | None = None

    def bytes_of(self, part: Part) -> int:
        """Bytes of a part, as they are compressed in the file, and its share of the footer."""
        return self.token_bytes if part is Part.TOKENS else self.message_bytes


def batch_names(folder: Path) -> list[BatchName]:
    """The batches of a run, in the order in which they were recorded."""
    return list(layers_of(folder).places(folder))


def batch_sizes(folder: Path) -> dict[BatchName, BatchSize]:
    """What each batch takes, in the order of recording; without those that can't be read."""
    places = layers_of(folder).places(folder)
    with OpenFiles() as files:
        sizes = [size_of(files, name, found[0]) for name, found in places.items()]
    return {size.name: size for size in sizes if size is not None}


def batch_size(folder: Path, name: BatchName) -> BatchSize | None:
    """What a batch takes; None where it is gone or can't be read."""
    layers = layers_of(folder, BatchFilter.only(name))
    place = next(iter(layers.places(folder, BatchFilter.only(name)).values()), None)
    with OpenFiles() as files:
        return size_of(files, name, place[0]) if place else None


def size_of(files: OpenFiles, name: BatchName, place: Place) -> BatchSize | None:
    """What a batch takes at a place; None where it is gone from there or can't be read."""
    try:
        rows = files.rows_of([place])
        takes = rows.file.bytes_by_column(rows.first, rows.stop)
        file_bytes = place.path.stat().st_size
    except UNREADABLE:
        return None
    taken = {name: takes.get(name, 0.0) for name in rows.names}
    parts = {part: sum(taken[c] for c in COLUMNS_OF[part] if c in taken) for part in Part}
    return BatchSize(
        path=place.path,
        name=name,
        file_bytes=int(sum(taken.values())) if place.segment else file_bytes,
        token_bytes=int(parts[Part.TOKENS]),
        message_bytes=int(parts[Part.MESSAGES]),
        segment=place.segment,
    )


def limit_order(
    names: Sequence[BatchName], newest: int = NEWEST_STEPS
) -> Iterator[tuple[BatchName, Part]]:
    """What a size limit takes out, first to last.

    Token details go first, of the oldest steps first. Then messages: those of every second step,
    then those of all but every fourth, and so on, so that what stays is spread over the whole run;
    in the end all. `names` are in the order of recording; their `newest` steps are left alone.
    """
    steps = sorted({(name.attempt, name.step) for name in names})
    places = {step: at for at, step in enumerate(steps[: max(len(steps) - newest, 0)])}
    old = [(places[at], name) for name in names if (at := (name.attempt, name.step)) in places]
    yield from ((name, Part.TOKENS) for _, name in old)
    stride = 1
    while stride < len(places):
        of_round = [name for at, name in old if at % (2 * stride) == stride]
        yield from ((name, Part.MESSAGES) for name in of_round)
        stride *= 2
    yield from ((name, Part.MESSAGES) for at, name in old if at == 0)


def prune_batch(
    store: LocalStore, size: BatchSize, parts: Set[Part], *, limit_bytes: int | None = None
) -> int:
    """Take these parts out of a batch; the bytes that this freed.

    Raises:
        DamagedFile: what should stay can't be read; the file is left as it is.
        StoreError: the store can't be written.
    """
    return prune_batches(store, [(size, parts)], limit_bytes=limit_bytes)


def prune_batches(
    store: LocalStore,
    chosen: Sequence[tuple[BatchSize, Set[Part]]],
    *,
    limit_bytes: int | None = None,
) -> int:
    """Take parts out of batches that lie in one file, which is written once; the bytes freed.

    What goes is never read: memory is bounded by what stays of one small file, or by two row
    groups of a compacted one.

    Raises:
        DamagedFile: what should stay can't be read; the file is left as it is.
        StoreError: the store can't be written.
    """
    size, parts = chosen[0]
    if size.segment is None:
        return _prune_alone(store, size, parts, limit_bytes)
    wanted = {size.name: {part for part in parts if size.bytes_of(part)} for size, parts in chosen}
    if not any(wanted.values()):
        return 0
    now = time.time()

    def change(segment: Segment) -> Shape:
        schema = pa.schema([]).with_metadata(segment.shape.metadata)
        notes = pruned_parts(schema)
        known = {note.part for note in notes}
        had = sorted(set(wanted.get(segment.name, ())) - known)
        added = [Pruned(part=part, at=now, limit_bytes=limit_bytes) for part in had]
        if not added:
            return segment.shape
        marked = mark_pruned(schema, [*notes, *added]).metadata or {}
        return Shape(
            lacks=segment.shape.lacks.union(*(COLUMNS_OF[part] for part in had)),
            notes={key.decode(): note.decode() for key, note in marked.items()},
        )

    mark_run(store, store.folder)
    return rewrite(store, size.path, change)


def _prune_alone(
    store: LocalStore, size: BatchSize, parts: Set[Part], limit_bytes: int | None
) -> int:
    gone = frozenset[str]().union(*(COLUMNS_OF[part] for part in parts))
    try:
        with pq.ParquetFile(size.path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            had = {part for part in parts if not COLUMNS_OF[part].isdisjoint(schema.names)}
            kept = [name for name in schema.names if name not in gone]
            table = file.read(columns=kept, use_threads=False)
            notes = [note for note in pruned_parts(schema) if note.part not in had]
    except UNREADABLE as error:
        raise DamagedFile(f"{size.path} can't be read, so nothing of it goes ({error}).") from error
    if not had:
        return 0
    now = time.time()
    notes += [Pruned(part=part, at=now, limit_bytes=limit_bytes) for part in sorted(had)]
    payload = parquet_bytes(table.replace_schema_metadata(mark_pruned(schema, notes).metadata))
    mark_run(store, store.folder)
    store.commit(size.name.path, payload)
    return size.file_bytes - len(payload)


def drop_batches(store: LocalStore, sizes: Sequence[BatchSize]) -> None:
    """Remove batches, whole.

    Raises:
        DamagedFile: what should stay of a compacted file can't be read; it is left as it is.
        StoreError: the store can't be written.
    """
    by_path: dict[Path, set[BatchName]] = {}
    for size in sizes:
        store.remove(size.name.path)
        if size.segment is not None:
            by_path.setdefault(size.path, set()).add(size.name)
    for path, names in by_path.items():
        rewrite(store, path, lambda one, names=names: None if one.name in names else one.shape)  # type: ignore[misc]


def mark_run(store: Store, folder: Path) -> None:
    """Say in the run that something of it was pruned, so that readers look for what.

    Raises:
        StoreError: the store can't be written.
    """
    if not (folder / RETENTION_FILE).exists():
        store.commit(RETENTION_FILE, encode_document({"first_pruned_at": time.time()}))


def prune_token_annotations(store: Store, folder: Path, stems: Set[str]) -> int:
    """Take out of the annotations what they say of single tokens of those files; bytes freed.

    The newest file of each process is left alone: its writer still fills it.

    Raises:
        StoreError: the store can't be written.
    """
    return sum(
        _prune_annotations(store, folder, path, stems)
        for kind in (FORWARD_TOKENS, UPDATE_TOKENS)
        for path in _finished(folder / annotations_path(kind, 0, 0, 0))
    )


def annotation_bytes(folder: Path, stems: Set[str]) -> int:
    """About how many bytes `prune_token_annotations` would free."""
    total = 0
    for kind in (FORWARD_TOKENS, UPDATE_TOKENS):
        for path in _finished(folder / annotations_path(kind, 0, 0, 0)):
            marks = _about(path, stems)
            total += int(path.stat().st_size * sum(marks) / max(len(marks), 1))
    return total


def _finished(example: Path) -> list[Path]:
    try:
        paths = sorted(example.parent.glob("[!.]*.parquet"))
    except OSError:
        return []
    last = {path.stem.rpartition("-")[0]: path for path in paths}
    return [path for path in paths if path not in last.values()]


def _about(path: Path, stems: Set[str]) -> list[bool]:
    """For each annotation of a file whether it is about one of those batches."""
    try:
        ids = pq.read_table(path, columns=["id"], use_threads=False)["id"].to_pylist()
    except UNREADABLE:
        return []
    places = [parse_record_id(unpack(str(id))) for id in ids]
    return [place is not None and place[0].stem in stems for place in places]


def _prune_annotations(store: Store, folder: Path, path: Path, stems: Set[str]) -> int:
    gone = _about(path, stems)
    if not any(gone):
        return 0
    was = path.stat().st_size
    if all(gone):
        path.unlink(missing_ok=True)
        return was
    table = pq.read_table(path, use_threads=False).filter(pa.array([not mark for mark in gone]))
    payload = parquet_bytes(table)
    store.commit(path.relative_to(folder).as_posix(), payload)
    return was - len(payload)
