"""The page of `rlvr tools`: sentences, tables, curves."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.analysis.tooling import ToolLine, ToolsUse
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import Curves
from rlvr.views.terminal.text import heading, number, one_line, plural, seconds, share
from rlvr.views.tools import change_text, difference_of, headline

_NAME = 32
_TOOLS = 20
_CURVES = 6
_PATTERNS = 10
_PATTERN_CHARS = 90
_HEIGHT = 8
_LONG = 400


def tools_view(use: ToolsUse, *, title: str, run: str = "RUN") -> Group:
    """The whole page. `title` names the run, `run` is how commands call it."""
    return Group(*_page(use, title, run))


def _page(use: ToolsUse, title: str, run: str) -> Iterator[RenderableType]:
    yield Text(f"═══ {one_line(title, 80)}", style="bold")
    yield Text(_extent(use), style="dim")
    yield from (Text(one_line(sentence, _LONG), style="bold") for sentence in headline(use))
    if not use.rollouts:
        return
    if use.tools:
        more = f"; {len(use.tools) - _TOOLS:,} more in --json" if len(use.tools) > _TOOLS else ""
        yield heading("Tools", f"the most called first{more}")
        yield _tools(use.tools[:_TOOLS])
        yield from _changes(use.tools[:_TOOLS])
        yield from _difference(use.tools[:_TOOLS])
    yield from _patterns(use)
    yield from _curves(use)
    yield heading("Next")
    yield layout.command(f"rlvr tools {run} --plot tools.svg", "the same as a picture")
    yield layout.command(f"rlvr diagnose {run}", "what is wrong with the run")


def _extent(use: ToolsUse) -> str:
    if not use.steps:
        return "no rollouts"
    first, last = use.steps[0], use.steps[-1]
    span = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    calls = plural(use.calls, "call")
    return f"{plural(use.rollouts, 'rollout')}, {span}: {calls}, every one counted"


def _tools(lines: tuple[ToolLine, ...]) -> RenderableType:
    table = layout.table(
        *("tool", "calls", "a rollout", "first → last", "used by", "raises", "malformed"),
        *("seconds", "95th %"),
        left=("tool",),
    )
    for line in lines:
        over = line.calls_by_step
        table.add_row(
            Text(one_line(line.name, _NAME)),
            f"{line.calls:,}",
            number(line.calls_per_rollout, 2),
            f"{number(over[0][1], 2)} → {number(over[-1][1], 2)}" if over else "",
            share(line.using.value),
            share(line.raised.value) if line.raised.trials else "",
            f"{line.malformed:,}",
            seconds(line.seconds_mean) if line.seconds_mean is not None else "",
            seconds(line.seconds_p95) if line.seconds_p95 is not None else "",
        )
    return table


def _changes(lines: tuple[ToolLine, ...]) -> Iterator[RenderableType]:
    found = [
        (line.name, what, change)
        for line in lines
        for what, changes in (
            ("calls a rollout", line.calls_changes),
            ("share that raises", line.raised_changes),
        )
        for change in changes
    ]
    yield heading("Changes of level", "binary segmentation with permutations, one in a thousand")
    if not found:
        yield Text("none", style="dim")
        return
    table = layout.table("tool", "of", "from step", "level", left=("tool", "of", "level"))
    for name, what, change in found:
        table.add_row(Text(one_line(name, _NAME)), what, f"{change.step:,}", change_text(change))
    yield table


def _difference(lines: tuple[ToolLine, ...]) -> Iterator[RenderableType]:
    yield heading("Reward of those who use it", "minus others of the same group; 95 %")
    told = [(Text(one_line(line.name, _NAME)), difference_of(line)) for line in lines]
    if any(shown for _, shown in told):
        yield layout.facts((name, shown or None) for name, shown in told)
    else:
        yield Text("no group has rollouts that use a tool and others that don't", style="dim")


def _patterns(use: ToolsUse) -> Iterator[RenderableType]:
    if not use.patterns:
        return
    more = use.patterns_total - min(_PATTERNS, len(use.patterns))
    yield heading("Orders of calls", f"the most frequent first; {more:,} more" if more else "")
    table = layout.table(
        *("share", "first third", "last third", "reward", "order"), left=("order",)
    )
    for one in use.patterns[:_PATTERNS]:
        table.add_row(
            share(one.share),
            share(one.early),
            share(one.late),
            number(one.reward, 2),
            Text(one_line(one.text, _PATTERN_CHARS)),
        )
    yield table


def _curves(use: ToolsUse) -> Iterator[RenderableType]:
    calls = {one_line(line.name, _NAME): line.calls_by_step for line in use.tools[:_CURVES]}
    failing = {
        f"{one_line(line.name, _NAME)} raises": line.raised_by_step
        for line in use.tools[: _CURVES - 2]
        if line.raised.hits
    }
    if use.malformed.hits:
        failing["malformed calls"] = use.malformed_by_step
    if use.unparsed.hits:
        failing["unparsed (rollouts)"] = use.unparsed_by_step
    if calls:
        yield Text()
        yield Curves(series=calls, title="calls a rollout", height=_HEIGHT)
    if failing:
        yield Text()
        yield Curves(series=failing, title="share of failures", height=_HEIGHT, y_range=(0.0, 1.0))
