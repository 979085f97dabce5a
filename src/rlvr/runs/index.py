"""An index over the scalar columns of a run, in memory: pages, counts, means, and SQL.

A module above the usual length: every question is a method of one class.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rlvr.codec import unpack
from rlvr.errors import ConfigurationError, RecordNotFound
from rlvr.record import Mode
from rlvr.runs.answers import GROUP_FIELDS, GroupRow, Mean, RowPage
from rlvr.runs.attempts import read_attempts
from rlvr.runs.batches import Batches
from rlvr.runs.executing import MAX_ROWS, Result, answered, check_question
from rlvr.runs.files import Damage
from rlvr.runs.filtering import (
    NO_BOUNDS,
    Bounds,
    Compiled,
    Names,
    bounds_of,
    columns_of,
    compile_condition,
    compile_value,
    parse,
)
from rlvr.runs.filtering.names import REWARDS, TOOL, Type, quoted
from rlvr.runs.indexed import ALWAYS, IN_ORDER, Held
from rlvr.runs.sql_views import columns_for, load_for, make_views, rewards_struct
from rlvr.store import parse_record_id

LIST_COLUMNS = (
    *ALWAYS,
    "group_id",
    "sample",
    "example_id",
    "stop_reason",
    REWARDS,
    "reward",
    "advantage",
    "sampled_tokens",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_num_tool_errors",
)
"""The columns that an index holds from the beginning; others are read when they are asked for."""


class RunIndex:
    """Questions over the rollouts of one run, answered from memory.

    It holds what was on disk at the last `refresh`; the first question makes one. Rows that a newer
    attempt has superseded are left out unless asked for. `where` is an expression such as
    "reward < 0.2 and tool = 'retrieve'" (docs/queries.md).
    """

    def __init__(
        self,
        folder: Path,
        batches: Batches,
        damage: Damage,
        columns: Sequence[str] = LIST_COLUMNS,
    ) -> None:
        self._folder = folder
        self._damage = damage
        self._held = Held(folder, batches, damage)
        self._wanted = tuple(columns)
        self._outdated = "false"
        self._looked = False

    def refresh(self) -> int:
        """Look for new files, and load just these; returns how many rows they had.

        Raises:
            NewerFormat: a file was written by a newer rlvr.
            ConfigurationError: the columns that are held take too much memory by now.
        """
        return self._load(())

    def compress(self) -> None:
        """Hold what is loaded from now on in an eighth of the memory; loading it takes half as long
        again."""
        self._held.compress()

    def _load(self, also: Iterable[str]) -> int:
        """Hold these columns too, of all that is on disk."""
        wanted = tuple(dict.fromkeys([*self._wanted, *also]))
        self._look_at_attempts()
        self._looked = False  # until all of it is loaded, which Ctrl-C may prevent
        added = self._held.load(wanted)
        self._wanted, self._looked = wanted, True
        return added

    def count(self, where: str | None = None, *, superseded: bool = False) -> int:
        """How many rollouts pass.

        Raises:
            ConfigurationError: the expression is wrong.
        """
        condition = self._condition(where, superseded)
        query = f"SELECT count(*) FROM held.rollouts WHERE {condition.sql}"
        return int(self._rows(query, condition.values)[0][0])

    def ids(
        self,
        where: str | None = None,
        *,
        mode: Mode | None = None,
        step: int | range | None = None,
        superseded: bool = False,
        anew: bool = False,
    ) -> list[str]:
        """The ids of those that pass, in the order of training.

        `anew` looks for new files first. Before any other question it loads those alone that may
        hold such rows, and the columns alone that the expression names.

        Raises:
            ConfigurationError: the expression is wrong.
        """
        condition = self._condition(where, superseded, mode=mode, step=step, anew=anew)
        query = f"SELECT id FROM held.rollouts WHERE {condition.sql} ORDER BY {IN_ORDER}"
        return [row[0] for row in self._rows(query, condition.values)]

    def row(self, id: str) -> Mapping[str, Any]:
        """The columns that are held of one rollout, superseded or not.

        Raises:
            RecordNotFound: there is none.
        """
        self._ready(())
        query = f"SELECT {self._shown()} FROM held.rollouts WHERE {self._of_id(id)}"
        found = _plain(answered(self._held.database, query, [id]).table)
        if not found:
            raise RecordNotFound(f"no trajectory {id!r} in {self._folder}.")
        row: Mapping[str, Any] = found[0]
        return row

    def page(
        self,
        where: str | None = None,
        *,
        order_by: str = "step",
        descending: bool = False,
        limit: int = 50,
        after: str | None = None,
        superseded: bool = False,
    ) -> RowPage:
        """A page of the rollouts that pass, by any expression; at equal values by id.

        What is absent or NaN stands last in either direction. `after` is that of the page before.

        Raises:
            ConfigurationError: an expression is wrong.
            RecordNotFound: there is no rollout of the id `after`.
        """
        ordered = parse(order_by)
        condition = self._condition(where, superseded, also=columns_of(ordered))
        key = compile_value(ordered, self._names())
        below, values = self._beyond(key, after, descending=descending) if after else ("true", ())
        direction = "DESC" if descending else "ASC"
        query = (
            f"SELECT {self._shown()} FROM held.rollouts WHERE {condition.sql} AND {below}"
            f" ORDER BY ({key.known}) {direction} NULLS LAST, id LIMIT {int(limit) + 1}"
        )
        table = answered(
            self._held.database, query, [*condition.values, *values, *key.values]
        ).table
        rows = _plain(table.slice(0, limit))
        more = table.num_rows > limit
        return RowPage(rows=tuple(rows), after=str(rows[-1]["id"]) if more and rows else None)

    def mean_by(
        self, by: str, value: str = "reward", where: str | None = None, *, superseded: bool = False
    ) -> list[Mean]:
        """The mean of a value for each step, example, group, ... or tool, by key.

        Of a tool: over the rollouts that called it, each once.

        Raises:
            ConfigurationError: an expression is wrong.
        """
        meant = parse(value)
        key_tree = None if by == TOOL else parse(by)
        also = columns_of(meant) | (columns_of(key_tree) if key_tree else {TOOL})
        condition = self._condition(where, superseded, also=also)
        names = self._names()
        number = compile_value(meant, names)
        key = compile_value(key_tree, names) if key_tree else None
        source, shown = "held.rollouts", key.sql if key else "called"
        if key is None:
            source += " JOIN (SELECT DISTINCT rid, name AS called FROM held.calls) USING (rid)"
        query = (
            f"SELECT {shown} AS key, avg(v), count(v) FROM"
            f" (SELECT *, ({number.known})::DOUBLE AS v FROM {source} WHERE {condition.sql})"
            " GROUP BY ALL ORDER BY key NULLS LAST"
        )
        values = [*(key.values if key else ()), *number.values, *condition.values]
        return [Mean(key=k, value=v, count=n) for k, v, n in self._rows(query, values)]

    def groups(
        self,
        where: str | None = None,
        *,
        order_by: str = "step",
        descending: bool = False,
        limit: int = 50,
        offset: int = 0,
        superseded: bool = False,
    ) -> list[GroupRow]:
        """Groups of those that pass, by step, size, mean, low, high or spread; absent ones last.

        Raises:
            ConfigurationError: the expression is wrong, or there is no such order.
        """
        if order_by not in GROUP_FIELDS:
            raise ConfigurationError(f"groups are ordered by {', '.join(GROUP_FIELDS)}.")
        condition = self._condition(where, superseded, also={"group_id", "reward"})
        direction = "DESC" if descending else "ASC"
        query = (
            "SELECT group_id, step, size, mean, low, high FROM ("
            "SELECT group_id, min(step) AS step, count(*) AS size, avg(r) AS mean, min(r) AS low,"
            " max(r) AS high, max(r) - min(r) AS spread"
            " FROM (SELECT *, nullif(reward, 'nan'::DOUBLE) AS r FROM held.rollouts"
            f" WHERE {condition.sql}) GROUP BY mode, attempt, batch, group_id)"
            f" ORDER BY {order_by} {direction} NULLS LAST, step, group_id"
            f" LIMIT {int(limit)} OFFSET {int(offset)}"
        )
        return [
            GroupRow(group_id=unpack(g), step=s, size=n, mean=m, low=low, high=high)
            for g, s, n, m, low, high in self._rows(query, condition.values)
        ]

    def sql(self, query: str, *, limit: int = MAX_ROWS, timeout_s: float | None = None) -> Result:
        """What a SELECT gives, at most `limit` rows of it; docs/queries.md names the tables.

        It can read nothing but the tables, and change nothing. Ctrl-C stops it.

        Raises:
            ConfigurationError: the query is wrong, is no single SELECT, or took longer than
                `timeout_s`, or needs more memory than MEMORY_LIMIT.
        """
        check_question(self._held.database, query)
        self._load(columns_for(query))
        load_for(self._held, query)
        make_views(self._held, self._folder.name, self._outdated)
        return answered(self._held.database, query, limit=limit, timeout_s=timeout_s)

    def _shown(self) -> str:
        cells = [
            f"{rewards_struct(self._held.components)} AS {REWARDS}"
            if name == REWARDS
            else quoted(name)
            for name in self._held.columns
        ]
        return ", ".join(cells)

    def _ready(
        self,
        columns: Collection[str],
        *,
        anew: bool = False,
        allow: Bounds = NO_BOUNDS,
        mode: Mode | None = None,
        step: int | range | None = None,
    ) -> None:
        """Hold these columns of all rows that may pass."""
        missing = [name for name in columns if name not in self._wanted]
        if anew and not self._looked:
            self._look_at_attempts()
            self._held.load(columns, allow=allow, mode=mode, step=step)
        elif anew or missing or not self._looked:
            self._load(missing)

    def _look_at_attempts(self) -> None:
        attempts = read_attempts(self._folder, self._damage)
        starts = [f"(attempt < {one.attempt} AND step >= {one.first_step})" for one in attempts]
        self._outdated = " OR ".join(starts) or "false"

    def _condition(
        self,
        where: str | None,
        superseded: bool,
        *,
        mode: Mode | None = None,
        step: int | range | None = None,
        also: Iterable[str] = (),
        anew: bool = False,
    ) -> Compiled:
        tree = parse(where) if where is not None else None
        needed = set(also) | (columns_of(tree) if tree else set())
        self._ready(needed - {TOOL}, anew=anew, allow=bounds_of(tree), mode=mode, step=step)
        if TOOL in needed:
            self._held.load_calls()
        found = compile_condition(tree, self._names()) if tree else _TRUE
        sql = f"({found.sql})"
        if not superseded:
            sql += f" AND NOT ({self._outdated})"
        return Compiled(
            sql=f"{sql}{_mode_and_step(mode, step)}",
            values=found.values,
            type=Type.FLAG,
            shown=found.shown,
        )

    def _names(self) -> Names:
        return Names(components=self._held.components, superseded=self._outdated)

    def _of_id(self, id: str) -> str:
        """The condition of one id; its parts let blocks of other steps be passed over."""
        place = parse_record_id(id)
        if place is None:
            return "id = ?"
        name = place[0]
        return f"step = {name.step} AND batch = {name.batch} AND id = ?"

    def _beyond(
        self, key: Compiled, after: str, *, descending: bool
    ) -> tuple[str, tuple[object, ...]]:
        """The rows that stand after that one."""
        query = f"SELECT ({key.known}) FROM held.rollouts WHERE {self._of_id(after)}"
        found = self._rows(query, [*key.values, after])
        if not found:
            raise RecordNotFound(f"no trajectory {after!r} in {self._folder}.")
        value, known = found[0][0], f"({key.known})"
        if value is None:
            return f"({known} IS NULL AND id > ?)", (*key.values, after)
        sign = "<" if descending else ">"
        condition = f"({known} {sign} ? OR ({known} = ? AND id > ?) OR {known} IS NULL)"
        inner = key.values
        return condition, (*inner, value, *inner, value, after, *inner)

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        return answered(self._held.database, query, values, limit=1 << 62).rows()


_TRUE = Compiled(sql="true", values=(), type=Type.FLAG, shown="")


def _mode_and_step(mode: Mode | None, step: int | range | None) -> str:
    sql = "" if mode is None else f" AND mode = '{mode.value}'"
    if isinstance(step, range):
        return f"{sql} AND step >= {step.start} AND step < {step.stop}"
    return sql if step is None else f"{sql} AND step = {int(step)}"


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    """The rows with their texts as they were recorded."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return [
        {name: unpack(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in rows
    ]
