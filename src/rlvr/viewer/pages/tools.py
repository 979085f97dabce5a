"""`/r/RUN/tools`: is tool use drifting?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rlvr.analysis.calls import NO_NAME, NOT_OFFERED, OTHERS
from rlvr.analysis.tooling import ToolLine, ToolsUse
from rlvr.errors import RecordNotFound
from rlvr.questions.reading import Members, ToolMembers
from rlvr.viewer import whole_run
from rlvr.viewer.answers import Answer
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.indexing import indexed
from rlvr.viewer.pages.members import members_page
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.pages.sliced import (
    Slice,
    quoted,
    slice_of,
    sliced_page,
)
from rlvr.viewer.whole_run import ToolsExamined
from rlvr.views.plots import Picture
from rlvr.views.terminal.text import number, one_line, seconds, share
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
    return sliced_page(
        desk,
        chosen,
        "tools.html",
        title="Is tool use drifting?",
        tab="tools",
        current=answer.current,
        values={
            "use": use,
            "headline": headline(use),
            "tools": [_tool(desk, chosen, line, found.by_tool) for line in use.tools],
            "changes": list(_changes(desk, chosen, use)),
            "patterns": [
                (pattern, _members(desk, chosen, "order", pattern.text)) for pattern in use.patterns
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


def tool_members_page(desk: Desk, asked: Asked) -> Page:
    """The rollouts behind one of the numbers.

    Raises:
        ConfigurationError: a parameter is wrong.
        RecordNotFound: there is no such tool or order.
    """
    chosen = slice_of(desk, asked)
    what = asked.choice("what", tuple(_MEANING), "raised")
    of = asked.name("of") or ""
    answer = _examined(desk, chosen, 1.0)
    if answer.value is None or not indexed(desk):
        return waiting(desk, "reading the tool calls", tab="tools")
    members = _behind(answer.value, what).get(of)
    if members is None:
        raise RecordNotFound(f"there is nothing of {one_line(of, 200)!r} here.")
    return members_page(
        desk,
        members,
        title=_MEANING[what].format(one_line(of, 120)),
        note=chosen.named(desk.run),
        where="of which this is so",
        older=not answer.current,
        tab="tools",
        above=Crumb("tools", url=desk.places.of_tools("", **chosen.parameters)),
        command=f"rlvr tools {chosen.arguments(desk.argument)}",
    )


_MEANING = {
    "using": "{} is called",
    "raised": "a call of {} raises",
    "malformed": "a call of {} is malformed",
    "timed": "the slowest calls of {} first",
    "order": "{}",
}


def _behind(found: ToolsExamined, what: str) -> Mapping[str, Members]:
    """The rollouts of each tool, or of each order of calls."""
    if what == "order":
        texts = [pattern.text for pattern in found.use.patterns]
        return dict(zip(texts, found.by_pattern, strict=True))
    return {name: getattr(own, what) for name, own in found.by_tool.items()}


def _members(desk: Desk, chosen: Slice, what: str, of: str) -> str:
    return desk.places.of_members("tools", what=what, of=of, **chosen.parameters)


def _tool(
    desk: Desk, chosen: Slice, line: ToolLine, by_tool: Mapping[str, ToolMembers]
) -> dict[str, Any]:
    own = by_tool.get(line.name)
    named = line.name not in (NO_NAME, NOT_OFFERED, OTHERS)
    calling = f"{chosen.condition} and tool = {quoted(line.name)}"
    over = line.calls_by_step
    urls = {
        f"{what}_url": _members(desk, chosen, what, line.name)
        if own and getattr(own, what).total
        else ""
        for what in ("using", "raised", "malformed", "timed")
    }
    return {
        "line": line,
        "calling": desk.places.of_rollouts(where=calling) if named else urls["using_url"],
        "ends": [
            (
                number(value, 2),
                desk.places.of_rollouts(where=f"{chosen.condition} and step = {step}"),
            )
            for step, value in (over[0], over[-1])
        ]
        if over
        else [],
        "raised": share(line.raised.value) if line.raised.trials else "",
        "mean": seconds(line.seconds_mean) if line.seconds_mean is not None else None,
        "p95": seconds(line.seconds_p95) if line.seconds_p95 is not None else None,
        "difference": difference_of(line),
        **urls,
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
