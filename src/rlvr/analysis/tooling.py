"""How tools are used over a training: how often, how well, in which order, and to what end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rlvr.analysis.calls import NO_NAME, NOT_OFFERED, OTHERS, Calls
from rlvr.analysis.changes import Change, changes
from rlvr.analysis.columns import Columns, Floats, Ints, Mask
from rlvr.analysis.patterns import Pattern, orders_of, patterns_of
from rlvr.analysis.statistics import Mean, Share, mean_of
from rlvr.analysis.within import share_of, step_means

TOOL_COLUMNS = (
    "step",
    "group_id",
    "reward",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_unparsed_call",
)
"""The columns that `examine_tools` asks for, beside the calls."""

MOST_TOOLS = 50
"""Names of tools that are told apart; the least called beyond are one."""

_INVENTED = 10

Series = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLine:
    """One tool. `offered` is None where the run does not list its tools.

    `using` is the share of the rollouts that call it. `raised` counts among its answered calls that
    were not `malformed`. `difference` is the mean over groups with users and others of the users'
    mean reward minus that of the others, so the prompt is held constant. Shares and means have
    intervals of 95 %. Seconds are None where no call was timed.
    """

    name: str
    offered: bool | None
    calls: int
    using: Share
    calls_per_rollout: float
    raised: Share
    malformed: int
    seconds_mean: float | None
    seconds_p95: float | None
    difference: Mean
    calls_by_step: Series
    raised_by_step: Series
    seconds_by_step: Series
    calls_changes: tuple[Change, ...]
    raised_changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsUse:
    """The tools of a run's rollouts. `read` of them have calls on record that could be read.

    `malformed` and `not_offered` are shares of the calls, the second of those that name a tool
    (`invented` are the most frequent of such names); `unparsed` is the share of the rollouts in
    whose text a call stands that nobody parsed. `patterns` are the most frequent ones of
    `patterns_total`.
    """

    rollouts: int
    read: int
    steps: tuple[int, ...]
    calls: int
    calls_by_step: Series
    calls_changes: tuple[Change, ...]
    malformed: Share
    malformed_by_step: Series
    not_offered: Share | None
    invented: tuple[str, ...]
    unparsed: Share
    unparsed_by_step: Series
    tools: tuple[ToolLine, ...]
    patterns: tuple[Pattern, ...]
    patterns_total: int


@dataclass(frozen=True, kw_only=True)
class _Rollouts:
    """The rollouts that were read, and their calls. Shape (rollouts,) each."""

    calls: Calls
    step: Ints
    group: Ints
    reward: Floats
    turns: Floats
    unparsed: Floats


def examine_tools(
    table: pa.Table, calls: Calls, *, offered: Sequence[str] = (), patterns: int = 20
) -> ToolsUse:
    """The tools of a table with TOOL_COLUMNS; `calls` are those of its rows.

    `offered` are the names of the tools that the run lists, empty where it lists none. At most
    `patterns` orders of calls are told.
    """
    columns = Columns(table=table)
    of = _Rollouts(
        calls=calls.folded(offered, MOST_TOOLS),
        step=columns.numbers("step").astype(np.int64),
        group=columns.codes("group_id"),
        reward=columns.numbers("reward"),
        turns=columns.numbers("derived_num_turns"),
        unparsed=columns.numbers("derived_unparsed_call"),
    )
    lines = [_line(of, tool, offered) for tool in range(len(of.calls.names))]
    total = np.where(calls.known, calls.per_rollout, columns.numbers("derived_num_tool_calls"))
    by_step = tuple(step_means(of.step, total))
    step, group = of.step[calls.row], of.group[calls.row]
    unparsed = of.unparsed == 1
    orders = orders_of(of.calls, of.turns, unparsed)
    return ToolsUse(
        rollouts=len(columns),
        read=int(calls.known.sum()),
        steps=tuple(np.unique(of.step).tolist()),
        calls=len(calls),
        calls_by_step=by_step,
        calls_changes=changes(by_step),
        malformed=share_of(calls.malformed, np.ones(len(calls), np.bool_), group),
        malformed_by_step=tuple(step_means(step, calls.malformed)),
        not_offered=_not_offered(of, offered),
        invented=_invented(calls, offered) if offered else (),
        unparsed=share_of(unparsed, np.isfinite(of.unparsed), of.group),
        unparsed_by_step=tuple(step_means(of.step, of.unparsed)),
        tools=tuple(sorted(lines, key=lambda line: (-line.calls, line.name))),
        patterns=patterns_of(orders[:patterns], of.calls, step=of.step, reward=of.reward),
        patterns_total=len(orders),
    )


def _not_offered(of: _Rollouts, offered: Sequence[str]) -> Share | None:
    """Of the calls that name a tool, those whose tool is not offered; None if not known."""
    if not offered:
        return None
    calls = of.calls
    names = np.array([*calls.names, ""])[calls.tool]
    return share_of(names == NOT_OFFERED, names != NO_NAME, of.group[calls.row])


def _invented(calls: Calls, offered: Sequence[str]) -> tuple[str, ...]:
    """The most frequent names that are not offered."""
    counts = np.bincount(calls.tool, minlength=len(calls.names))
    ranked = [calls.names[place] for place in np.argsort(-counts, kind="stable").tolist()]
    unknown = [name for name in ranked if name not in offered and name != NO_NAME]
    return tuple(unknown[:_INVENTED])


def _line(of: _Rollouts, tool: int, offered: Sequence[str]) -> ToolLine:
    calls, name = of.calls, of.calls.names[tool]
    counts, own = calls.of(tool), calls.tool == tool
    reached = own & calls.answered & ~calls.malformed
    step, group = of.step[calls.row], of.group[calls.row]
    timed = calls.seconds[own & np.isfinite(calls.seconds)]
    raised_by_step = tuple(step_means(step, calls.raised, reached))
    calls_by_step = tuple(step_means(of.step, counts, calls.known))
    return ToolLine(
        name=name,
        offered=name in offered if offered and name not in (NO_NAME, OTHERS) else None,
        calls=int(own.sum()),
        using=share_of(counts > 0, calls.known, of.group),
        calls_per_rollout=float(counts[calls.known].mean()),
        raised=share_of(calls.raised, reached, group),
        malformed=int((own & calls.malformed).sum()),
        seconds_mean=float(timed.mean()) if len(timed) else None,
        seconds_p95=float(np.quantile(timed, 0.95)) if len(timed) else None,
        difference=_difference(of, counts > 0),
        calls_by_step=calls_by_step,
        raised_by_step=raised_by_step,
        seconds_by_step=tuple(step_means(step, calls.seconds, own)),
        calls_changes=changes(calls_by_step),
        raised_changes=changes(raised_by_step),
    )


def _difference(of: _Rollouts, using: Mask) -> Mean:
    """Users' mean reward minus that of the others, over the groups that have both."""
    known = of.calls.known & np.isfinite(of.reward)
    count = int(of.group.max()) + 1
    means = []
    tried = []
    for side in (known & using, known & ~using):
        size = np.bincount(of.group[side], minlength=count)
        total = np.bincount(of.group[side], weights=of.reward[side], minlength=count)
        means.append(total / np.maximum(size, 1))
        tried.append(size > 0)
    both = tried[0] & tried[1]
    return mean_of((means[0] - means[1])[both])
