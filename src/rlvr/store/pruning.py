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

from rlvr.codec import check_format, encode_document, mark_pruned, pruned_parts, unpack
from rlvr.errors import DamagedFile, RlvrError
from rlvr.record import FORWARD_TOKENS, UPDATE_TOKENS, Part, Pruned
from rlvr.schema import MESSAGES, TOKENS
from rlvr.store.base import Store
from rlvr.store.layout import (
    RETENTION_FILE,
    TRAJECTORIES_FOLDER,
    BatchName,
    annotations_path,
    parse_record_id,
)
from rlvr.store.parquet import parquet_bytes

NEWEST_STEPS = 1
"""So many recorded steps are never touched by a size limit, and the one that is being written."""

_COLUMNS = {
    Part.TOKENS: frozenset(column.name for column in TOKENS),
    Part.MESSAGES: frozenset(column.name for column in MESSAGES),
}
_UNREADABLE = (OSError, RlvrError, pa.ArrowException, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """What a trajectory file takes: bytes of the file, and of the parts of it that can go."""

    path: Path
    name: BatchName
    file_bytes: int
    token_bytes: int
    message_bytes: int

    def bytes_of(self, part: Part) -> int:
        """Bytes of a part, as they are compressed in the file, and its share of the footer."""
        return self.token_bytes if part is Part.TOKENS else self.message_bytes


def batch_names(folder: Path) -> list[BatchName]:
    """The trajectory files of a run, in the order in which they were recorded."""
    try:
        paths = list((folder / TRAJECTORIES_FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = [BatchName.parse(path.stem) for path in paths if path.suffix == ".parquet"]
    return sorted(name for name in names if name is not None)


def batch_size(folder: Path, name: BatchName) -> BatchSize | None:
    """What a file takes, by its footer; None where it is gone or can't be read."""
    path = folder / name.path
    sizes, leaves = dict.fromkeys(Part, 0), dict.fromkeys(Part, 0)
    try:
        with pq.ParquetFile(path) as file:
            check_format(file.schema_arrow, str(path))
            footer = file.metadata
            for group in map(footer.row_group, range(footer.num_row_groups)):
                for leaf in map(group.column, range(group.num_columns)):
                    column = leaf.path_in_schema.partition(".")[0]
                    for part in Part:
                        sizes[part] += leaf.total_compressed_size * (column in _COLUMNS[part])
                        leaves[part] += column in _COLUMNS[part]
            chunks = max(footer.num_columns * footer.num_row_groups, 1)
            for part in Part:  # in a small file the footer weighs as much as the rows
                sizes[part] += footer.serialized_size * leaves[part] // chunks
        file_bytes = path.stat().st_size
    except _UNREADABLE:
        return None
    return BatchSize(
        path=path,
        name=name,
        file_bytes=file_bytes,
        token_bytes=sizes[Part.TOKENS],
        message_bytes=sizes[Part.MESSAGES],
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
    store: Store, size: BatchSize, parts: Set[Part], *, limit_bytes: int | None = None
) -> int:
    """Write a file anew without these parts; the bytes that this freed.

    What goes is never read: memory is bounded by what stays of one file.

    Raises:
        DamagedFile: what should stay can't be read; the file is left as it is.
        StoreError: the store can't be written.
    """
    gone = frozenset[str]().union(*(_COLUMNS[part] for part in parts))
    try:
        with pq.ParquetFile(size.path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            had = {part for part in parts if not _COLUMNS[part].isdisjoint(schema.names)}
            kept = [name for name in schema.names if name not in gone]
            table = file.read(columns=kept, use_threads=False)
            notes = [note for note in pruned_parts(schema) if note.part not in had]
    except _UNREADABLE as error:
        raise DamagedFile(f"{size.path} can't be read, so nothing of it goes ({error}).") from error
    if not had:
        return 0
    now = time.time()
    notes += [Pruned(part=part, at=now, limit_bytes=limit_bytes) for part in sorted(had)]
    payload = parquet_bytes(table.replace_schema_metadata(mark_pruned(schema, notes).metadata))
    mark_run(store, size.path.parents[2])
    store.commit(size.name.path, payload)
    return size.file_bytes - len(payload)


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
    except _UNREADABLE:
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
