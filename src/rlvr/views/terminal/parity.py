"""Two runs beside each other: the gap, its account, and every difference by what it can explain."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.parity import (
    Account,
    Blank,
    Difference,
    Estimate,
    Example,
    Line,
    LineKind,
    Parity,
    PromptDifference,
    PromptPart,
    Rate,
    SideSummary,
    Standing,
)
from rlvr.parity.wording import level, points, span
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, inert, joined, number, one_line, plural, share
from rlvr.views.verdict import rollout_command

_MARKS = {
    Standing.EXPLAINS: ("✗ explains", "bold red"),
    Standing.MAY: ("? may explain", "bold yellow"),
    Standing.CANNOT: ("· can't explain", "dim"),
}
_VALUE = 90
_LONG = 2_000
_BAR = 24
_VISIBLE = str.maketrans({"\n": "⏎", "\t": "⇥", "\r": "␍"})


def parity_view(parity: Parity) -> Group:
    """The whole comparison: headline, account, differences, behaviour, what is unknown."""
    return Group(*_page(parity))


def _page(parity: Parity) -> Iterator[RenderableType]:
    yield layout.facts((side.label, _side(side)) for side in (parity.a, parity.b))
    yield from _headline(parity)
    yield from (layout.warning(one_line(remark, 400)) for remark in parity.remarks)
    yield from _account(parity.account)
    if parity.total is not None:
        yield from _total(parity.total)
    yield from _differences(parity)
    yield from _behaviour(parity.rates)
    yield from _unknown(parity)
    yield heading("Next")
    yield from (layout.command(*line) for line in _next(parity))


def _side(side: SideSummary) -> str:
    first, last = (side.steps[0], side.steps[-1]) if side.steps else (0, 0)
    steps = f"step {first}" if first == last else f"steps {number(first)} to {number(last)}"
    return joined(
        (
            f"{side.noun} of {one_line(side.called, 80)}",
            f"{steps} ({side.chosen})" if side.chosen else steps,
            f"{plural(side.rollouts, 'rollout')} of {plural(side.examples, 'example')}",
        )
    )


def _headline(parity: Parity) -> Iterator[RenderableType]:
    mark, style = ("✗", "bold red") if parity.explained else ("?", "bold yellow")
    if not parity.account.real:
        mark, style = "✓", "bold green"
    lines = "\n".join(one_line(sentence, _LONG) for sentence in parity.headline)
    yield Text()
    yield layout.facts([(Text(mark, f"{style} not dim"), Text(lines, style))])


def _account(account: Account) -> Iterator[RenderableType]:
    if not account.lines:
        return
    measure = "the reward" if account.measure == "reward" else one_line(account.measure, 60)
    yield heading(f"The account of {measure}", "lines add up to the gap")
    shown = layout.table("", "points" if account.percent else "", "95% interval", "", left=("", ""))
    shown.add_row("A", _level(account.a, account), _bounds(account.a, account))
    for line in account.lines:
        shown.add_row(*_line(line, account))
    shown.add_row("B", _level(account.b, account), _bounds(account.b, account))
    yield shown


def _total(account: Account) -> Iterator[RenderableType]:
    """The whole reward: in one line, but for component weights that differ."""
    if account.line("reward-formula") is not None:
        yield from _account(account)
        return
    means = f"the whole reward: A {_level(account.a, account)}, B {_level(account.b, account)}"
    gap = points(account.gap.value, percentages=account.percent)
    bounds = span(account.gap, percentages=account.percent)
    yield Text(f"{means}; B - A {gap} ({bounds})", "dim")


def _level(found: Estimate, account: Account) -> str:
    return level(found.value, percentages=account.percent)


def _bounds(found: Estimate, account: Account) -> str:
    low, high = (level(bound, percentages=account.percent) for bound in (found.low, found.high))
    return f"{low} to {high}"


def _line(line: Line, account: Account) -> Iterator[RenderableType]:
    found = line.points
    style = "dim" if line.kind is LineKind.REST else "bold" if line.proven else ""
    yield Text(f"  {one_line(line.title, 80)}", style)
    shown = points(found.value, percentages=account.percent, unit=False)
    yield Text(shown if shown.startswith("-") else f"+{shown}", style)
    yield span(found, percentages=account.percent)
    yield Text(_share(line, account), "dim")


def _share(line: Line, account: Account) -> str:
    if not account.real or not line.points.value:
        return ""
    if line.share is None:
        return "against the gap" if line.proven else "within chance"
    kind = " (estimate)" if line.kind is LineKind.ESTIMATE else ""
    chance = "" if line.proven else ", within chance"
    return f"{share(line.share)} of the gap{kind}{chance}"


def _differences(parity: Parity) -> Iterator[RenderableType]:
    called = {"A": parity.a.called, "B": parity.b.called}
    for standing in Standing:
        found = [one for one in parity.differences if one.standing is standing]
        if not found:
            continue
        mark, style = _MARKS[standing]
        if not parity.account.real:
            mark, style = "differs, with no gap to explain", "bold"
        yield Text(f"\n── {mark} ──", style)
        for one in found:
            if standing is Standing.CANNOT:
                yield _in_short(one)
            else:
                yield from _in_full(one, called)
    if parity.same:
        yield Text(f"\nthe same on both sides: {inert(', '.join(parity.same))}", "dim")


def _in_full(one: Difference, called: dict[str, str]) -> Iterator[RenderableType]:
    yield Text(f"{inert(one.name)}", "bold").append(f"  {inert(one.code)}", "dim not bold")
    rows: list[tuple[str, RenderableType]] = []
    if one.prompt is not None:
        rows += _prompt(one.prompt)
    elif one.a is not None or one.b is not None:
        rows += _values(one)
    rows.append(("why", Text(one_line(one.why, _LONG))))
    if one.remedy:
        rows.append(("what to do", Text(one_line(one.remedy, _LONG))))
    yield layout.facts(rows)
    yield from _examples(one.examples, called)


def _in_short(one: Difference) -> Text:
    shown = Text(f"{inert(one.name)}: ")
    shown.append(f"{_value(one, one.a)} | {_value(one, one.b)}")
    return shown.append(f"; {one_line(one.why, _LONG)}", "dim")


def _values(one: Difference) -> Iterator[tuple[str, RenderableType]]:
    if "path" in one.evidence or "line" in one.evidence:
        place = one.evidence.get("path") or f"line {one.evidence.get('line')}"
        yield "first at", Text(one_line(str(place), _VALUE))
        yield "A", Text(one_line(str(one.evidence.get("a")), _VALUE))
        yield "B", Text(one_line(str(one.evidence.get("b")), _VALUE))
        return
    yield "A", Text(_value(one, one.a))
    yield "B", Text(_value(one, one.b))


def _value(one: Difference, value: object) -> str:
    if isinstance(value, float) and one.evidence.get("unit", "share") == "share":
        return share(value) if 0 <= value <= 1 else number(value)
    if isinstance(value, float | int) and not isinstance(value, bool):
        return number(value)
    return one_line(str(value), _VALUE)


def _prompt(found: PromptDifference) -> Iterator[tuple[str, RenderableType]]:
    if found.a is None or found.b is None:
        return
    where = f"{found.unit} {found.a.place:,} of {found.a.length:,} in A and {found.b.length:,} in B"
    yield "first at", Text(where)
    yield "A", _part(found.a)
    yield "B", _part(found.b)


def _part(part: PromptPart) -> Text:
    before, at, after = (
        inert(text.translate(_VISIBLE)) for text in (part.before, part.at, part.after)
    )
    shown = Text("…" if part.place else "", "dim").append(before, "dim")
    shown.append(f"⟦{at or 'nothing'}⟧", "bold red")
    return shown.append(after, "dim")


def _examples(found: Sequence[Example], called: dict[str, str]) -> Iterator[Text]:
    for why in dict.fromkeys(example.why for example in found):
        yield Text(f"for example, {one_line(why, 400)}:", style="dim")
        for example in found:
            if example.why == why:
                command = rollout_command(called[example.side], example.id)
                yield Text(f"  {inert(command)}", "cyan", no_wrap=True, overflow="ignore")


def _behaviour(rates: Sequence[Rate]) -> Iterator[RenderableType]:
    shown = layout.table("", "A", "", "B", "", "", left=("", ""))
    rows = [rate for rate in rates if _worth_a_row(rate)]
    if not rows:
        return
    yield heading("Behaviour", "means with 95% intervals; ≠ where chance is ruled out at 99%")
    for rate in rows:
        mark = {True: Text("≠", "bold yellow"), False: Text("="), None: Text("?", "dim")}
        shown.add_row(
            one_line(rate.name, 80), *_rate(rate, rate.a), *_rate(rate, rate.b), mark[rate.differs]
        )
    yield shown


def _worth_a_row(rate: Rate) -> bool:
    """Whether it happened at all."""
    return any(found is not None and found.value > 0 for found in (rate.a, rate.b))


def _rate(rate: Rate, found: Estimate | None) -> Iterator[str]:
    if found is None:
        yield "∅"
        yield ""
        return
    shown = share if rate.unit == "share" else _number
    yield shown(found.value)
    yield f"({shown(found.low)} to {shown(found.high)})"


def _number(value: float) -> str:
    return number(value, 2)


def _unknown(parity: Parity) -> Iterator[RenderableType]:
    if parity.unknown:
        yield heading("Unknown", "what two records can't say, and what would")
        yield layout.facts((_code(one), _because(one)) for one in parity.unknown)


def _code(one: Blank) -> Text:
    return Text("?", "yellow not dim").append(f" {inert(one.code)}", "default")


def _because(one: Blank) -> Text:
    shown = Text(one_line(one.because, _LONG))
    return shown.append(f"; needs {one_line(one.needs, _LONG)}", "dim") if one.needs else shown


def _next(parity: Parity) -> Iterator[tuple[str, str]]:
    for side in (parity.a, parity.b):
        if side.rescored is None:
            yield f"rlvr rescore {inert(side.called)}", f"score {side.label}'s answers anew"
    for called in dict.fromkeys((parity.a.called, parity.b.called)):
        yield f"rlvr show {inert(called)}", "the run on a page"
