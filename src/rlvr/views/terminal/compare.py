"""The page of `rlvr compare`: sentences, a row for each group, differences, curves, runs."""

from collections.abc import Iterator

from rich.console import Group as Page
from rich.console import RenderableType
from rich.text import Text

from rlvr.analysis.outcome import Measure
from rlvr.analysis.replicates import NAMED_BY, Comparison, Group, Varying, short_name, short_value
from rlvr.views.compare import (
    by_text,
    cautions,
    difference_text,
    headline,
    is_told,
    last_text,
    mean_text,
    reached_text,
    same_text,
)
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import COLOURS, Curves
from rlvr.views.terminal.text import NOT_RECORDED, heading, number, one_line, plural

_GROUPS = 30
_DIFFERENCES = 12
_RUNS = 40
_SETTINGS = 12
_SAME = 8
_HEIGHT = 12
_USE = {
    "turns": "turns",
    "tool_calls": "calls",
    "tool_errors": "failed calls",
    "sampled_tokens": "tokens",
}


def compared_view(found: Comparison, measure: Measure, *, passes: bool) -> Page:
    """The whole page."""
    return Page(*_page(found, measure, passes))


def _page(found: Comparison, measure: Measure, passes: bool) -> Iterator[RenderableType]:
    groups = f" in {plural(len(found.groups), 'group')}" if len(found.groups) > 1 else ""
    by = f" by {by_text(found)}" if found.by else ""
    yield Text(one_line(f"═══ {plural(len(found.runs), 'run')}{groups}{by}", 160), style="bold")
    yield Text(_extent(found, measure, passes), style="dim")
    for sentence in headline(found, measure, passes=passes):
        yield Text(one_line(sentence, 400), style="bold")
    for sentence in cautions(found):
        yield layout.warning(one_line(sentence, 600))
    more = len(found.groups) - _GROUPS
    note = "mean over runs ± half of the 95% interval"
    yield heading("Groups", f"{note}; {more:,} more in --json" if more > 0 else note)
    yield _scores(found, passes)
    yield heading("What rollouts take", last_text(found))
    yield _use(found)
    yield from _differences(found, passes)
    yield from _findings(found)
    yield from _curves(found, measure)
    yield from _settings(found)
    yield from _runs(found)


def _extent(found: Comparison, measure: Measure, passes: bool) -> str:
    name = f"{one_line(measure.name, 60)} ({one_line(measure.why, 60)})"
    if passes:
        return f"pass rate by {name}"
    return f"steps {found.first:,} to {found.last:,}; {name}; last: {last_text(found)}"


def _scores(found: Comparison, passes: bool) -> RenderableType:
    heads = _heads(found)
    numbers = ["pass rate"] if passes else ["last", "gain", "best", "area", _reach(found)]
    shown = layout.table(*heads, "runs", *numbers, left=heads)
    for group in found.groups[:_GROUPS]:
        names = ("last",) if passes else ("last", "gain", "best", "area")
        cells = [mean_text(group.numbers[name]) for name in names]
        if not passes:
            cells.append(reached_text(group))
        shown.add_row(*_values(group), number(len(group.runs)), *cells)
    return shown


def _use(found: Comparison) -> RenderableType:
    heads = _heads(found)
    shown = layout.table(*heads, *_USE.values(), left=heads)
    for group in found.groups[:_GROUPS]:
        cells = (mean_text(group.numbers[name], 2) for name in _USE)
        shown.add_row(*_values(group), *cells)
    return shown


def _heads(found: Comparison) -> list[str]:
    """Of the columns that say which group it is."""
    heads = [one_line(short_name(name), 30) for name in found.by]
    return heads if 0 < len(heads) <= NAMED_BY else ["group", *heads]


def _values(group: Group) -> list[Text]:
    values = [short_value(value) for value in group.values.values()]
    cells = values if 0 < len(values) <= NAMED_BY else [group.name, *values]
    return [Text(one_line(cell, 48), style="bold") for cell in cells]


def _reach(found: Comparison) -> str:
    return f"step to {number(found.threshold, 2)}"


def _differences(found: Comparison, passes: bool) -> Iterator[RenderableType]:
    if not found.differences:
        return
    more = len(found.differences) - _DIFFERENCES
    note = "with Welch's 95% interval; ✓ where it leaves 0 out"
    yield heading("Differences", f"{note}; {more:,} more in --json" if more > 0 else note)
    shown = layout.table(
        "between", "of", "", "difference", left=("between", "of", "", "difference")
    )
    for one in found.differences[:_DIFFERENCES]:
        between = Text(one_line(f"{one.a} − {one.b}", 80), style="bold")
        for name in ("last",) if passes else ("last", "gain", "area"):
            mark = "✓" if is_told(one.numbers[name]) else ""
            of = "pass rate" if passes else name
            shown.add_row(between, of, mark, Text(difference_text(one.numbers[name])))
            between = Text()
    yield shown
    for one in found.differences[:_DIFFERENCES]:
        further = [short_name(name) for name in one.settings if name not in found.by]
        if further:
            rest = f" and {len(further) - 6} more" if len(further) > 6 else ""
            also = f"{one.a} and {one.b} differ in {', '.join(further[:6])}{rest} too"
            yield Text(one_line(also, 300), style="dim")


def _findings(found: Comparison) -> Iterator[RenderableType]:
    if all(run.findings is None for run in found.runs):
        return
    yield heading("Findings", "runs of each group that have it; notes left out")
    codes = sorted({code for group in found.groups for code in group.findings})
    if not codes:
        yield Text("none in any run")
        return
    shown = layout.table(
        "finding", *(one_line(g.name, 24) for g in found.groups), left=("finding",)
    )
    for code in codes:
        counts = (f"{g.findings.get(code, 0)} of {len(g.runs)}" for g in found.groups)
        shown.add_row(Text(code), *counts)
    yield shown


def _curves(found: Comparison, measure: Measure) -> Iterator[RenderableType]:
    shown = [group for group in found.groups if len(group.curve) > 1][: len(COLOURS)]
    if not shown:
        return
    left = sum(len(group.curve) > 1 for group in found.groups) - len(shown)
    more = f"; {left} more groups not drawn" if left else ""
    yield heading(one_line(measure.name, 60), f"mean over the runs of each group{more}")
    series = {
        one_line(group.name, 40): [(point.step, point.mean) for point in group.curve]
        for group in shown
    }
    yield Curves(series=series, height=_HEIGHT)


def _settings(found: Comparison) -> Iterator[RenderableType]:
    yield heading("Settings", "as recorded; seeds, names and places left out")
    rows: list[tuple[RenderableType, RenderableType]] = []
    for name, aliases in found.aliases.items():
        more = f" and {len(aliases) - 4} more" if len(aliases) > 4 else ""
        also = f"the same as {', '.join(aliases[:4])}{more}"
        rows.append((_dim(short_name(name)), Text(one_line(also, 240))))
    for title, settings in (
        ("differ between groups", found.confounded),
        ("differ within a group", found.mixed),
    ):
        for one in settings[:_SETTINGS]:
            rows.append((_dim(title), Text(one_line(f"{short_name(one.name)}: {_all(one)}", 200))))
        if len(settings) > _SETTINGS:
            rows.append((_dim(title), Text(f"{len(settings) - _SETTINGS:,} more in --json")))
    rows.append((_dim("the same in all"), Text(one_line(same_text(found, _SAME), 400))))
    yield layout.facts(rows)


def _dim(text: str) -> Text:
    return Text(one_line(text, 40), style="dim")


def _all(one: Varying) -> str:
    values = one.of(range(len(one.values)))
    rest = f" and {len(values) - 4} more" if len(values) > 4 else ""
    return " | ".join(map(short_value, values[:4])) + rest


def _runs(found: Comparison) -> Iterator[RenderableType]:
    more = len(found.runs) - _RUNS
    yield heading("Runs", f"{more:,} more in --json" if more > 0 else "")
    columns = ("group", "seed", "steps", "starts", "last", "best", "place")
    shown = layout.table(*columns, left=("group", "place"))
    rows = [(group, run) for group in found.groups for run in group.runs][:_RUNS]
    for group, run in rows:
        shown.add_row(
            Text(one_line(group.name, 32)),
            one_line(run.seed or NOT_RECORDED, 12),
            number(run.steps),
            number(run.attempts),
            number(run.numbers["last"]),
            number(run.numbers["best"]),
            Text(one_line(run.place, 120), style="cyan"),
        )
    yield shown
    yield Text("rlvr show PLACE opens a run.", style="dim")
