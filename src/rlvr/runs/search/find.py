"""Which trajectories of the index a query finds."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

from rlvr.codec import pack
from rlvr.errors import ConfigurationError
from rlvr.record import Mode
from rlvr.runs.search.database import IndexedFile
from rlvr.store import BatchName

MOST_RANKED = 5_000
"""Of so many trajectories at most the relevance is computed unless it is asked for: it takes some
10 microseconds of each, and the query itself a hundredth of that."""


class Sort(StrEnum):
    """The order of what is found."""

    RELEVANCE = "relevance"
    STEP = "step"


def named_sort(name: str | None) -> Sort | None:
    """The order of that name.

    Raises:
        ConfigurationError: there is no such order.
    """
    try:
        return None if name is None else Sort(name)
    except ValueError as error:
        raise ConfigurationError(f"no order {name!r}; use {' or '.join(Sort)}.") from error


@dataclass(frozen=True, kw_only=True)  # no slots: `rows` is computed once
class Filters:
    """Which trajectories are looked at; None leaves a field free. Reward bounds are included.

    `ids` are those that alone are looked at. `tool` is one that the rollout called. Rows that a
    newer attempt has superseded are left out unless `superseded`.
    """

    step: int | range | None = None
    mode: Mode | None = None
    group: str | None = None
    reward: tuple[float, float] | None = None
    ids: frozenset[str] | None = None
    tool: str | None = None
    superseded: bool = False

    @cached_property
    def rows(self) -> Mapping[str, Sequence[int]] | None:
        """The rows of `ids` by the stem of their batch; None where all are looked at."""
        if self.ids is None:
            return None
        found: dict[str, list[int]] = {}
        for id in self.ids:
            stem, _, row = id.rpartition("-")
            found.setdefault(stem, []).append(int(row))
        return found

    def shows(self, name: "BatchName | IndexedFile") -> bool:
        """Whether the rows of a file can pass."""
        if self.mode is not None and name.mode != self.mode:
            return False
        if self.rows is not None and name.stem not in self.rows:
            return False
        if self.step is None:
            return True
        return name.step == self.step if isinstance(self.step, int) else name.step in self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many trajectories match, and those of the page as (stem, row), in `sort`'s order."""

    total: int
    sort: Sort
    places: tuple[tuple[str, int], ...]


def find(
    connection: sqlite3.Connection,
    expression: str,
    shown: Sequence[IndexedFile],
    filters: Filters,
    *,
    sort: Sort | None,
    limit: int,
    offset: int,
) -> Found:
    """What the rows of the files `shown` (in the order of steps) match, a page of it.

    Raises:
        sqlite3.Error: the database can't be read.
    """
    question = _question(connection, expression, shown, filters)
    (total,) = connection.execute(
        f"SELECT count({question.counted}) {question.source}", question.values
    ).fetchone()
    if sort is None:
        sort = Sort.RELEVANCE if total <= MOST_RANKED else Sort.STEP
    if offset >= total:
        return Found(total=total, sort=sort, places=())
    rows = connection.execute(
        question.page(sort), {**question.values, "limit": limit, "offset": offset}
    ).fetchall()
    return Found(total=total, sort=sort, places=tuple(_place(connection, no) for (no,) in rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """The SQL of a query: over `text` alone where that says all, else joined with `trajectory`."""

    source: str
    values: Mapping[str, object]
    joined: bool

    @property
    def counted(self) -> str:
        return "DISTINCT (t.file << 24) | t.row" if self.joined else "*"

    def page(self, sort: Sort) -> str:
        limits = "LIMIT :limit OFFSET :offset"
        if not self.joined:
            order = "rank, rowid" if sort is Sort.RELEVANCE else "rowid"
            return f"SELECT rowid {self.source} ORDER BY {order} {limits}"
        source = self.source
        order = "s.place, t.row"
        if sort is Sort.RELEVANCE:
            source = source.replace("0.0 AS score", "bm25(text) AS score")
            order = f"min(f.score), {order}"
        return f"SELECT min(f.no) {source} GROUP BY t.file, t.row ORDER BY {order} {limits}"


def _question(
    connection: sqlite3.Connection,
    expression: str,
    shown: Sequence[IndexedFile],
    filters: Filters,
) -> _Question:
    conditions, values = _conditions(filters)
    values["query"] = expression
    values["first"] = min((file.first for file in shown), default=0)
    values["stop"] = max((file.stop for file in shown), default=0)
    matched = "text MATCH :query AND rowid >= :first AND rowid < :stop"
    if not conditions and _in_one_piece(shown):
        return _Question(source=f"FROM text WHERE {matched}", values=values, joined=False)
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS shown (file INTEGER PRIMARY KEY, place)")
    connection.execute("DELETE FROM temp.shown")
    connection.executemany(
        "INSERT INTO temp.shown VALUES (?, ?)", [(file.no, at) for at, file in enumerate(shown)]
    )
    if filters.rows is not None:
        _keep(connection, shown, filters.rows)
    # Found first, so that SQLite never asks the index anew for each trajectory that is shown.
    source = (
        f"FROM (SELECT rowid AS no, 0.0 AS score FROM text WHERE {matched} LIMIT -1) AS f"
        " CROSS JOIN trajectory AS t ON t.no = f.no CROSS JOIN temp.shown AS s ON s.file = t.file"
    )
    if conditions:
        source += " WHERE " + " AND ".join(conditions)
    return _Question(source=source, values=values, joined=True)


def _keep(
    connection: sqlite3.Connection,
    shown: Sequence[IndexedFile],
    rows: Mapping[str, Sequence[int]],
) -> None:
    """The table of the rollouts that pass: their file's number and their row, in one number."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS passing (place INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM temp.passing")
    connection.executemany(
        "INSERT OR IGNORE INTO temp.passing VALUES (?)",
        (((file.no << 24) | row,) for file in shown for row in rows.get(file.stem, ())),
    )


def _conditions(filters: Filters) -> tuple[list[str], dict[str, object]]:
    conditions: list[str] = []
    values: dict[str, object] = {}
    if filters.group is not None:
        conditions.append("t.group_id = :group")
        values["group"] = pack(filters.group)
    if filters.reward is not None:
        conditions.append("t.reward BETWEEN :lowest AND :highest")
        values["lowest"], values["highest"] = filters.reward
    if filters.ids is not None:
        conditions.append(
            "EXISTS (SELECT 1 FROM temp.passing WHERE place = (t.file << 24) | t.row)"
        )
    if filters.tool is not None:
        conditions.append(
            "EXISTS (SELECT 1 FROM called WHERE trajectory = t.no"
            " AND tool = (SELECT no FROM tool WHERE name = :tool))"
        )
        values["tool"] = filters.tool
    return conditions, values


def _in_one_piece(shown: Sequence[IndexedFile]) -> bool:
    """Whether the numbers of their rows follow one another, one a trajectory, in their order."""
    if any(file.portions for file in shown):
        return False
    filled = [file for file in shown if file.stop > file.first]
    return all(one.stop == next.first for one, next in pairwise(filled))


def _place(connection: sqlite3.Connection, no: int) -> tuple[str, int]:
    """Stem and row of a trajectory."""
    stem, row = connection.execute(
        "SELECT file.stem, t.row FROM trajectory AS t JOIN file ON file.no = t.file WHERE t.no = ?",
        (no,),
    ).fetchone()
    return str(stem), int(row)
