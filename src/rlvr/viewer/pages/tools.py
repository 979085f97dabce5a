"""`/r/RUN/tools`: is tool use drifting?"""

from collections.abc import Iterator, Sequence
from typing import Any

from rlvr.analysis.calls import NO_NAME, NOT_OFFERED, OTHERS
from rlvr.analysis.tooling import ToolLine, ToolsUse
from rlvr.questions.reading import ToolIds
from rlvr.viewer import whole_run
from rlvr.viewer.answers import Answer
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.pages.sliced import (
    Slice,
    passing,
    quoted,
    slice_of,
)
from rlvr.viewer.whole_run import ToolsExamined
from rlvr.views.plots import Picture
from rlvr.views.terminal.text import number, seconds, share
from rlvr.views.tools import change_text, difference_of, headline, real_tools, tool_picture
from rlvr.views.web import Crumb, Page
from rlvr.views.web.charts import Chart, Mark, Series, chart

_CURVES = 6


def tools_page(desk: Desk, asked: Asked) -> Page:
    """Calls, failures, changes of level, orders of calls; each number opens rollouts."""
    chosen = slice_of(desk, asked)
    answer = _examined(desk, chosen, 1.0)
    if answer.value is None:
        return waiting(desk, "reading the tool calls", tab="tools")
    found = answer.value
    use = found.use
    return Page(
        template="tools.html",
        title="Is tool use drifting?",
        places=desk.places,
        tab="tools",
        crumbs=(
            *desk.crumbs,
            Crumb("tools"),
        ),
        command=f"rlvr tools {chosen.arguments(desk.argument)}",
        live=True,
        values={
            "asked": chosen.parameters,
            "named": chosen.named(desk.run),
            "older": not answer.current,
            "use": use,
            "headline": headline(use),
            "tools": [_tool(desk, chosen, line, found.by_tool) for line in use.tools],
            "changes": list(_changes(desk, chosen, use)),
            "patterns": [
                (pattern, passing(desk, ids))
                for pattern, ids in zip(use.patterns, found.by_pattern, strict=True)
            ],
            "charts": list(_charts(use, desk)),
            "svg": desk.places.of_tools("svg", **chosen.parameters),
            "png": desk.places.of_tools("png", **chosen.parameters),
        },
    )


def tools_picture(desk: Desk, asked: Asked) -> Picture | None:
    """The page's plots as one picture; None while they are awaited."""
    chosen = slice_of(desk, asked)
    found = _examined(desk, chosen, 20.0).value
    return None if found is None else tool_picture(found.use, title=chosen.named(desk.run))


def _examined(desk: Desk, chosen: Slice, patience_s: float) -> Answer[ToolsExamined]:
    return desk.whole(f"tools {chosen}", whole_run.tools, chosen.filters, patience_s=patience_s)


def _tool(desk: Desk, chosen: Slice, line: ToolLine, by_tool: dict[str, ToolIds]) -> dict[str, Any]:
    nobody = ToolIds(raised=(), malformed=(), slowest=())
    ids = by_tool.get(line.name, nobody)
    named = line.name not in (NO_NAME, NOT_OFFERED, OTHERS)
    calling = f"{chosen.condition} and tool = {quoted(line.name)}"
    over = line.calls_by_step
    return {
        "line": line,
        "calling": desk.places.of_rollouts(where=calling) if named else "",
        "ends": [
            (number(value, 2), desk.places.of_step(step, split=chosen.mode.value))
            for step, value in (over[0], over[-1])
        ]
        if over
        else [],
        "raised": share(line.raised.value) if line.raised.trials else "",
        "raised_url": passing(desk, ids.raised),
        "malformed_url": passing(desk, ids.malformed),
        "mean": seconds(line.seconds_mean) if line.seconds_mean is not None else None,
        "p95": seconds(line.seconds_p95) if line.seconds_p95 is not None else None,
        "slowest_url": passing(desk, ids.slowest),
        "difference": difference_of(line),
    }


def _changes(desk: Desk, chosen: Slice, use: ToolsUse) -> Iterator[dict[str, Any]]:
    for line in use.tools:
        for what, found in (
            ("calls a rollout", line.calls_changes),
            ("share that raises", line.raised_changes),
        ):
            for change in found:
                yield {
                    "tool": line.name,
                    "what": what,
                    "step": change.step,
                    "url": desk.places.of_step(change.step, split=chosen.mode.value),
                    "level": change_text(change),
                }


def _charts(use: ToolsUse, desk: Desk) -> Iterator[Chart]:
    real = real_tools(use)

    def drawn(
        title: str,
        series: list[Series],
        marks: Sequence[Mark] = (),
        high: float | None = None,
    ) -> Chart:
        return chart(title, series, url=desk.places.of_step, low=0.0, high=high, marks=marks)

    some = use.tools[:_CURVES]
    marks = real[0].calls_changes if len(real) == 1 else use.calls_changes
    yield drawn(
        "calls a rollout",
        [Series(name=line.name, points=line.calls_by_step) for line in some],
        [Mark(step=c.step, label=f"step {c.step:,}: {change_text(c)}") for c in marks],
    )
    failing = [
        Series(name=f"{line.name} raises", points=line.raised_by_step)
        for line in real[: _CURVES - 2]
    ]
    failing.append(Series(name="malformed calls", points=use.malformed_by_step))
    failing.append(Series(name="unparsed (rollouts)", points=use.unparsed_by_step))
    raised = [
        Mark(step=c.step, label=f"step {c.step:,}: {line.name} raises {change_text(c)}")
        for line in real
        for c in line.raised_changes
    ]
    yield drawn("share of failures", failing, raised, 1.0)
    orders = [Series(name=one.text, points=one.by_step) for one in use.patterns[:_CURVES]]
    yield drawn("share of each order of calls", orders, (), 1.0)
    timed = [Series(name=line.name, points=line.seconds_by_step) for line in real[:_CURVES]]
    if any(series.points for series in timed):
        yield drawn("seconds a call", timed)
