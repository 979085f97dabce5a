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
from rlvr.views.parity import rollout_command
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import (
    NOT_RECORDED,
    heading,
    inert,
    joined,
    number,
    one_line,
    plural,
    share,
)

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
    note = "lines add up to the gap; chance is ruled out at 99%"
    yield heading(f"The account of {measure}", note)
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
    if not line.proven:
        return "within chance"
    if line.share is None:
        return "against the gap"
    estimate = " (estimate)" if line.kind is LineKind.ESTIMATE else ""
    return f"{share(line.share)} of the gap{estimate}"


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
            yield from _SHOWN[standing](one, called)
    if parity.same:
        yield Text(f"\nthe same on both sides: {inert(', '.join(parity.same))}", "dim")


def _in_full(one: Difference, called: dict[str, str]) -> Iterator[RenderableType]:
    yield Text(inert(one.name), "bold").append(f"  {inert(one.code)}", "dim not bold")
    rows: list[tuple[str, RenderableType]] = [*_places(one)]
    if not rows:
        rows = [("A", Text(_value(one, one.a))), ("B", Text(_value(one, one.b)))]
    rows.append(("why", Text(one_line(one.why, _LONG))))
    if one.remedy:
        rows.append(("what to do", Text(one_line(one.remedy, _LONG), "bold")))
    yield layout.facts(rows)
    yield from _examples(one.examples, called)


def _in_brief(one: Difference, called: dict[str, str]) -> Iterator[RenderableType]:
    """What both have in one line, unless it is long; then why, and what to do."""
    places = list(_places(one))
    shown = Text(inert(one.name), "bold")
    if not places:
        shown.append(f"  A {_value(one, one.a)} · B {_value(one, one.b)}", "not bold")
    yield shown.append(f"  {inert(one.code)}", "dim not bold")
    if places:
        yield layout.facts(("  " + name, value) for name, value in places)
    said = joined((one_line(one.why, _LONG), one_line(one.remedy, _LONG)), "; to do: ")
    yield layout.facts([("  ", Text(said, "dim"))])
    if one.points is not None:
        yield from _examples(one.examples, called)


def _in_short(one: Difference, _: dict[str, str]) -> Iterator[RenderableType]:
    shown = Text(f"{inert(one.name)}  A {_value(one, one.a)} · B {_value(one, one.b)}")
    yield shown.append(f"  {one_line(one.why, _LONG)}", "dim")


_SHOWN = {
    Standing.EXPLAINS: _in_full,
    Standing.MAY: _in_brief,
    Standing.CANNOT: _in_short,
}


def _places(one: Difference) -> Iterator[tuple[str, RenderableType]]:
    """The first place at which two long values part; nothing for short ones."""
    if one.prompt is not None:
        yield from _prompt(one.prompt)
    elif "path" in one.evidence or "line" in one.evidence:
        place = one.evidence.get("path") or f"line {one.evidence.get('line')}"
        yield "first at", Text(one_line(str(place), _VALUE))
        yield "A", Text(one_line(str(one.evidence.get("a")), _VALUE))
        yield "B", Text(one_line(str(one.evidence.get("b")), _VALUE))


def _value(one: Difference, value: object) -> str:
    if isinstance(value, float) and one.evidence.get("unit", "share") == "share":
        return share(value) if 0 <= value <= 1 else _number(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int) and not isinstance(value, bool):
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
    rows = [rate for rate in rates if _happened(rate)]
    if not rows:
        return
    yield heading("Behaviour", "means with 95% intervals; ≠ where chance is ruled out at 99%")
    shown = layout.table("", "A", "B", "", left=("", ""))
    shown.columns[0].no_wrap = False
    for rate in rows:
        mark = {True: Text("≠", "bold yellow"), False: Text("="), None: Text("?", "dim")}
        name = one_line(rate.name, 80)
        shown.add_row(name, _rate(rate, rate.a), _rate(rate, rate.b), mark[rate.differs])
    yield shown


def _happened(rate: Rate) -> bool:
    return any(found is not None and found.value > 0 for found in (rate.a, rate.b))


def _rate(rate: Rate, found: Estimate | None) -> str:
    if found is None:
        return NOT_RECORDED
    shown = share if rate.unit == "share" else _number
    low, high = shown(found.low).removesuffix("%"), shown(found.high).removesuffix("%")
    return f"{shown(found.value)} ({low} to {high})"


def _number(value: float) -> str:
    return number(value, 2 if abs(value) < 10 else 1)


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
