"""The SQLite database of one run's words: its tables, and what fills them.

A row of `text` is a trajectory (its number is that in `trajectory`), a column the texts of one
role. The text itself is not kept (contentless); places of words are, so that phrases are exact.
Fewer and larger merges than FTS5's own fill it a third faster. A trajectory of more than
PORTION_CHARS characters takes several rows.

Files are added one by one by the stem of their ids, each whole or not at all;
rows of files that changed or went stay in `text` as dead ones, which no `file` claims.
`state.seen` is what the folders of the run looked like when all of it was last indexed.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rlvr.runs.search.pieces import Piece, words_of
from rlvr.runs.search.query import Role
from rlvr.store import BatchName

VERSION = 2
"""Of the tables, the tokenizer and what is indexed; a database of another version is made anew."""

TOKENIZER = "unicode61 remove_diacritics 2"
PORTION_CHARS = 4_000_000
BUSY_MS = 60_000
BOUNDARY = "\n\ue000\n"
"""Between two texts of one role: a word of its own, so that no phrase crosses it."""

_SCHEMA = f"""
CREATE TABLE state (version INTEGER, source TEXT, next INTEGER, seen TEXT);
CREATE TABLE file (
    no INTEGER PRIMARY KEY, stem TEXT UNIQUE, mode TEXT, step INTEGER, attempt INTEGER,
    signature TEXT, pruned INTEGER, damaged INTEGER, portions INTEGER, first INTEGER, stop INTEGER
);
CREATE TABLE trajectory (
    no INTEGER PRIMARY KEY, file INTEGER, row INTEGER, group_id TEXT, reward REAL
);
CREATE TABLE tool (no INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE called (
    tool INTEGER, trajectory INTEGER, PRIMARY KEY (tool, trajectory)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE text USING fts5(
    {", ".join(Role)}, content='', detail=full, tokenize='{TOKENIZER}'
);
INSERT INTO text (text, rank) VALUES ('hashsize', 8388608);
INSERT INTO text (text, rank) VALUES ('automerge', 16);
"""


class IndexedFile(NamedTuple):
    """A file whose rows are indexed: numbers from `first` to `stop` (exclusive).

    `signature` is what the file system said of it. `portions` counts rows beyond one a trajectory.
    `pruned` and `damaged` are 0 or 1. A run has thousands of these, and a tuple is made quickly.
    """

    no: int
    stem: str
    mode: str
    step: int
    attempt: int
    signature: str
    pruned: int
    damaged: int
    portions: int
    first: int
    stop: int

    @property
    def rollouts(self) -> int:
        """How many trajectories it has."""
        return self.stop - self.first - self.portions


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is indexed of one trajectory."""

    row: int
    group_id: str | None
    reward: float | None
    pieces: Sequence[Piece]


def connect(path: Path | str) -> sqlite3.Connection:
    """A connection to the database at a path, which is made where there is none.

    Raises:
        sqlite3.Error: it can't be opened, or is no database.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -32000")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, source: str) -> bool:
    """Make the tables where there are none; False where they are of another version or run.

    Raises:
        sqlite3.Error: it can't be read or written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'state'").fetchone()
        if known is None:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO state VALUES (?, ?, 1, '')", (VERSION, source))
        found = connection.execute("SELECT version, source FROM state").fetchone()
    except sqlite3.Error:
        connection.rollback()
        raise
    connection.execute("COMMIT")
    return bool(found == (VERSION, source))


def source_of(path: Path) -> str | None:
    """The folder of the run that a database is of; None where it can't be read."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0.1)
        try:
            found = connection.execute("SELECT source FROM state").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    return None if found is None else str(found[0])


def seen(connection: sqlite3.Connection) -> str:
    """What the run's folders looked like when all of it was last indexed; "" where never."""
    (found,) = connection.execute("SELECT seen FROM state").fetchone()
    return str(found)


def note_seen(connection: sqlite3.Connection, looks: str) -> None:
    """Note that all is indexed of a run whose folders look like that."""
    connection.execute("UPDATE state SET seen = ?", (looks,))


def indexed_files(connection: sqlite3.Connection) -> list[IndexedFile]:
    """Every file whose rows are indexed, by step and attempt."""
    columns = ", ".join(IndexedFile._fields)
    rows = connection.execute(f"SELECT {columns} FROM file ORDER BY step, attempt, mode, stem")
    return list(map(IndexedFile._make, rows))


def has_file(connection: sqlite3.Connection, stem: str) -> bool:
    """Whether the rows of that stem are indexed."""
    found = connection.execute("SELECT 1 FROM file WHERE stem = ?", (stem,))
    return found.fetchone() is not None


def dead_share(connection: sqlite3.Connection) -> float:
    """Share of the rows that no file claims any more."""
    (following,) = connection.execute("SELECT next FROM state").fetchone()
    (alive,) = connection.execute("SELECT coalesce(sum(stop - first), 0) FROM file").fetchone()
    return 1 - alive / (following - 1) if following > 1 else 0.0


def forget_file(connection: sqlite3.Connection, file: IndexedFile) -> None:
    """Let go of a file; its rows of `text` are dead from now on."""
    bounds = (file.first, file.stop)
    connection.execute("DELETE FROM file WHERE no = ?", (file.no,))
    connection.execute("DELETE FROM trajectory WHERE no >= ? AND no < ?", bounds)
    connection.execute("DELETE FROM called WHERE trajectory >= ? AND trajectory < ?", bounds)


class FileRows:
    """Adds the trajectories of one file, in an open transaction; `close` makes them count."""

    def __init__(self, connection: sqlite3.Connection, tools: dict[str, int]) -> None:
        self._connection = connection
        self._tools = tools
        (self._first,) = connection.execute("SELECT next FROM state").fetchone()
        (last,) = connection.execute("SELECT coalesce(max(no), 0) FROM file").fetchone()
        self._file = last + 1
        self._next = self._first
        self._added = 0

    def add(self, words: Words) -> None:
        """One trajectory."""
        tools = {piece.tool for piece in words.pieces if piece.tool is not None}
        for columns in _portions(words.pieces):
            no = self._next
            self._connection.execute(
                "INSERT INTO trajectory VALUES (?, ?, ?, ?, ?)",
                (no, self._file, words.row, words.group_id, words.reward),
            )
            self._connection.execute(_INSERT, (no, *(columns.get(role) for role in Role)))
            self._connection.executemany(
                "INSERT OR IGNORE INTO called VALUES (?, ?)",
                [(self._tool(name), no) for name in tools],
            )
            self._next += 1
        self._added += 1

    def close(self, name: BatchName, *, signature: str, pruned: bool, damaged: bool) -> int:
        """Note the file with what was added; how many trajectories it has."""
        portions = self._next - self._first - self._added
        self._connection.execute(
            f"INSERT INTO file VALUES (?{', ?' * 10})",
            (
                *(self._file, name.stem, name.mode, name.step, name.attempt),
                *(signature, pruned, damaged, portions, self._first, self._next),
            ),
        )
        self._connection.execute("UPDATE state SET next = ?", (self._next,))
        return self._added

    def _tool(self, name: str) -> int:
        if name not in self._tools:
            self._connection.execute("INSERT OR IGNORE INTO tool (name) VALUES (?)", (name,))
            found = self._connection.execute("SELECT no FROM tool WHERE name = ?", (name,))
            self._tools[name] = found.fetchone()[0]
        return self._tools[name]


_INSERT = f"INSERT INTO text (rowid, {', '.join(Role)}) VALUES (?{', ?' * len(Role)})"


def _portions(pieces: Sequence[Piece]) -> Iterator[Mapping[Role, Any]]:
    """The texts by role, no more than PORTION_CHARS at a time; once at least."""
    held: dict[Role, list[str]] = {}
    chars = 0
    for piece in pieces:
        for text in windows(words_of(piece.text), PORTION_CHARS):
            if held and chars + len(text) > PORTION_CHARS:
                yield {role: BOUNDARY.join(texts) for role, texts in held.items()}
                held, chars = {}, 0
            held.setdefault(piece.role, []).append(text)
            chars += len(text)
    yield {role: BOUNDARY.join(texts) for role, texts in held.items()}


def windows(text: str, size: int) -> Iterator[str]:
    """The text in pieces of that size at most, cut at white space where there is some near."""
    start = 0
    while len(text) - start > size:
        stop = start + size
        for at in range(stop, max(stop - 1_000, start), -1):
            if text[at - 1].isspace():
                stop = at
                break
        yield text[start:stop]
        start = stop
    yield text[start:] if start else text
