"""What the readings of rewards and tools take from a run: portion by portion where it is large."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from rlvr.analysis.calls import CALL_COLUMNS, Calls, needs_messages, read_calls
from rlvr.analysis.columns import Columns, Ints
from rlvr.analysis.patterns import orders_of
from rlvr.analysis.reward_rows import Number, reward_rows
from rlvr.analysis.rewards import REWARD_COLUMNS, RewardUse, examine_rewards
from rlvr.analysis.scorers import SCORER_COLUMNS, scorer_statuses
from rlvr.analysis.tooling import MOST_TOOLS, TOOL_COLUMNS, ToolsUse, examine_tools
from rlvr.record import RunInfo
from rlvr.runs import Run

PORTION = 5_000
"""Rollouts whose tool results are held at once, in whole steps."""

MOST_MEMBERS = 200
"""Rollouts behind a number that are kept to be listed, where no filter says which they are."""

Filters = Mapping[str, Any]
"""The keywords of `Run.to_arrow`: mode, step, where."""

Ids = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The rollouts behind a number: how many they are, and the ids of the first of them."""

    total: int
    ids: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMembers:
    """The rollouts behind what is said of one tool, the newest first: they call it, a call of it
    raised, was malformed, or was timed (the slowest first)."""

    using: Members
    raised: Members
    malformed: Members
    timed: Members


@dataclass(frozen=True, kw_only=True)
class ToolReading:
    """The tool calls of a run's rollouts."""

    table: pa.Table
    calls: Calls
    offered: tuple[str, ...]

    @cached_property
    def use(self) -> ToolsUse:
        """How the tools are used."""
        return examine_tools(self.table, self.calls, offered=self.offered)

    def by_tool(self, most: int = MOST_MEMBERS) -> dict[str, ToolMembers]:
        """At most so many rollouts for each number of each tool."""
        calls = self._folded
        slow = np.argsort(-np.nan_to_num(calls.seconds, nan=-1.0), kind="stable")
        timed = slow[np.isfinite(calls.seconds[slow])]
        return {
            name: ToolMembers(
                using=self._of(calls.row[calls.tool == at][::-1], most),
                raised=self._of(calls.row[(calls.tool == at) & calls.raised][::-1], most),
                malformed=self._of(calls.row[(calls.tool == at) & calls.malformed][::-1], most),
                timed=self._of(calls.row[timed[calls.tool[timed] == at]], most),
            )
            for at, name in enumerate(calls.names)
        }

    def by_pattern(self, most: int = MOST_MEMBERS) -> list[Members]:
        """At most so many rollouts of each pattern of `use`, the newest first."""
        columns = Columns(table=self.table)
        unparsed = columns.numbers("derived_unparsed_call") == 1
        orders = orders_of(self._folded, columns.numbers("derived_num_turns"), unparsed)
        return [
            self._of(order.rows[::-1], most)
            for order, _ in zip(orders, self.use.patterns, strict=False)
        ]

    @cached_property
    def _folded(self) -> Calls:
        return self.calls.folded(self.offered, MOST_TOOLS)

    def _of(self, rows: Ints, most: int) -> Members:
        return members_of(self.table, rows, most)


def read_tools(run: Run, filters: Filters) -> ToolReading:
    """The tool calls of the rollouts that pass."""
    read = [run.to_arrow(["id", *TOOL_COLUMNS], mode=filters.get("mode"), step=-1)]
    calls = read_calls(_portions(run, filters, read))
    return ToolReading(table=pa.concat_tables(read), calls=calls, offered=_offered(run.info))


def read_rewards(run: Run, filters: Filters) -> tuple[RewardUse, pa.Table]:
    """What the components do in the rollouts that pass, and the columns that it was asked of."""
    info = run.info
    table = run.to_arrow(["id", *REWARD_COLUMNS], **filters)
    weights = info.components if info else {}
    outcome = info.outcome if info else None
    found = examine_rewards(table, weights, outcome=outcome)
    if any(component.unscored for component in found.components):
        statuses = scorer_statuses(run.to_arrow(SCORER_COLUMNS, **filters))
        found = examine_rewards(table, weights, outcome=outcome, statuses=statuses)
    return found, table


def behind_rewards(
    table: pa.Table, info: RunInfo | None, most: int = MOST_MEMBERS
) -> dict[Number, Members]:
    """The rollouts behind each number of `read_rewards`, the newest first."""
    rows = reward_rows(
        table, info.components if info else {}, outcome=info.outcome if info else None
    )
    return {number: members_of(table, own[::-1], most) for number, own in rows.items()}


def members_of(table: pa.Table, rows: Ints, most: int) -> Members:
    """The rollouts of these rows, in their order, each once."""
    first = np.unique(rows, return_index=True)[1]
    some = pa.array(rows[np.sort(first)[:most]], pa.int64())
    return Members(total=len(first), ids=tuple(map(str, table["id"].take(some).to_pylist())))


def _portions(run: Run, filters: Filters, read: list[pa.Table]) -> Iterator[pa.Table]:
    """Some steps at a time with their calls; what else is asked of them is appended to `read`."""
    wanted = list(dict.fromkeys(("id", *TOOL_COLUMNS, *CALL_COLUMNS)))
    for steps in _spans(run.to_arrow(["step"], **filters)):
        chosen = {**filters, "step": steps}
        portion = run.to_arrow(wanted, **chosen)
        if needs_messages(portion):
            portion = run.to_arrow([*wanted, "completion"], **chosen)
        read.append(portion.select(["id", *TOOL_COLUMNS]))
        yield portion


def _spans(table: pa.Table) -> Iterator[range]:
    """Ranges of steps, in order, each with PORTION rollouts or one step."""
    counts = table.group_by("step").aggregate([("step", "count")]).to_pylist()
    first, held, last = None, 0, 0
    for row in sorted(counts, key=lambda row: row["step"]):
        if first is not None and held + row["step_count"] > PORTION:
            yield range(first, row["step"])
            first, held = None, 0
        first = row["step"] if first is None else first
        held, last = held + row["step_count"], row["step"]
    if first is not None:
        yield range(first, last + 1)


def _offered(info: RunInfo | None) -> tuple[str, ...]:
    """The names of the tools that the run lists."""
    schemas: Sequence[Mapping[str, Any]] = info.tools if info else ()
    functions = [schema.get("function", schema) for schema in schemas]
    names = [one.get("name") for one in functions if isinstance(one, Mapping)]
    return tuple(name for name in names if isinstance(name, str))
