"""Bring the index of a run up to what its files hold now."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from rlvr.codec import pruned_parts
from rlvr.record import Part
from rlvr.runs.files import Damage
from rlvr.runs.search.database import (
    FileRows,
    IndexedFile,
    Words,
    dead_share,
    forget_file,
    has_file,
    indexed_files,
    note_seen,
    seen,
)
from rlvr.runs.search.pieces import CONTENT, pieces
from rlvr.runs.search.segments import Segment, Segments

READ = ("id", "group_id", "reward", *CONTENT)
MOST_DEAD = 0.25
CHUNK_BYTES = 4 << 20
"""About so much of the run is read between two commits: others that search or index wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexProgress:
    """How far it is: bytes of the files read, of how many, and rollouts so far."""

    read_bytes: int
    total_bytes: int
    rollouts: int


def update(
    connection: sqlite3.Connection,
    source: Segments,
    damage: Damage,
    on_progress: Callable[[IndexProgress], None],
) -> bool:
    """Add what is new and let go of what changed or went; False where too much of it is dead then.

    A run whose folders look as when all was indexed is not compared again. Several processes may
    do so at once: each file is added by one of them.

    Raises:
        sqlite3.Error: the database can't be written, or is damaged.
    """
    looks = source.looks()
    if seen(connection) == looks:
        return True
    pruning = source.pruning()
    pruned = {name.stem for name in pruning.files if pruning.lacks(name, Part.MESSAGES)}
    present = {segment.name.stem: segment for segment in source.all()}
    known = indexed_files(connection)
    stale = [file for file in known if not _holds(file, present, pruned)]
    if stale:
        with _Writing(connection):
            for file in stale:
                forget_file(connection, file)
        if dead_share(connection) > MOST_DEAD:
            return False
    held = {file.stem for file in known} - {file.stem for file in stale}
    missing = [segment for stem, segment in present.items() if stem not in held]
    if missing:
        _Adding(connection, source, damage).all(missing, on_progress)
    if not damage.files:
        note_seen(connection, looks)
    return True


def _holds(file: IndexedFile, present: dict[str, Segment], pruned: set[str]) -> bool:
    segment = present.get(file.stem)
    if segment is None or (file.stem in pruned and not file.pruned):
        return False
    return segment.signature in ("", file.signature)


class _Adding:
    """Adds segments, a few at a time."""

    def __init__(self, connection: sqlite3.Connection, source: Segments, damage: Damage) -> None:
        self._connection = connection
        self._source = source
        self._damage = damage

    def all(self, missing: list[Segment], on_progress: Callable[[IndexProgress], None]) -> None:
        """Add those that no other process adds meanwhile."""
        total = sum(segment.size_bytes for segment in missing)
        left = missing[::-1]
        read = rollouts = 0
        while left:
            with _Writing(self._connection):
                tools = dict(self._connection.execute("SELECT name, no FROM tool"))
                limit = read + CHUNK_BYTES
                while left and read < limit:
                    segment = left.pop()
                    read += segment.size_bytes
                    if not has_file(self._connection, segment.name.stem):
                        rollouts += self._one(segment, tools)
            on_progress(IndexProgress(read_bytes=read, total_bytes=total, rollouts=rollouts))

    def _one(self, segment: Segment, tools: dict[str, int]) -> int:
        rows = FileRows(self._connection, tools)
        pruned = False
        for piece in self._source.pieces(segment, READ):
            pruned = pruned or _is_pruned(piece.table)
            for words in self._damage.rows(piece.path, piece.table, _words):
                rows.add(words)
        damaged = any(place.path in self._damage.paths() for place in segment.batch.places)
        return rows.close(segment.name, signature=segment.signature, pruned=pruned, damaged=damaged)


def _is_pruned(table: pa.Table) -> bool:
    return Part.MESSAGES in (note.part for note in pruned_parts(table.schema))


def _words(table: pa.Table) -> Iterator[Words]:
    for row in table.to_pylist():
        yield Words(
            row=int(row["id"].rpartition("-")[2]),
            group_id=row["group_id"],
            reward=row["reward"],
            pieces=tuple(pieces(row)),
        )


class _Writing:
    """A transaction of one writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.rollback()
