"""The ledger of the gradient: what became of every training rollout."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.diagnosis.ledger import Fate, Ledger, Line
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import Curves, Points
from rlvr.views.terminal.text import heading, joined, number, plural, share

_STYLES = {
    Fate.SOUND: "green",
    Fate.LOST: "yellow",
    Fate.CORRUPTED: "bold red",
    Fate.UNVERIFIED: "blue",
}
_GLYPHS = {Fate.SOUND: "█", Fate.LOST: "░", Fate.CORRUPTED: "▓", Fate.UNVERIFIED: "▒"}
_BAR = 60
_NONE = "There is no training rollout to judge."
_IN_ALL = (
    "in all: every rollout with a gradient (among the lost: without one) for which it holds;"
    " the first line that holds has it"
)


def ledger_view(
    ledger: Ledger, *, run: str = "RUN", title: str = "", sound_by_step: Points = ()
) -> Group:
    """Every rollout on one line, lines by fate, adding up to all.

    `title` names the run, `run` is how commands call it; `sound_by_step` has the share of each
    step's rollouts that reached the gradient sound.
    """
    return Group(*_page(ledger, run, title, sound_by_step))


def ledger_in_short(ledger: Ledger, reasons: int = 2) -> Iterator[Text]:
    """A bar of all rollouts by fate, its legend, and the reasons that took most from it."""
    if not ledger.total:
        return
    yield ledger_bar(ledger)
    legend = Text()
    for fate in Fate:
        count = ledger.count(fate)
        if count or fate is not Fate.UNVERIFIED:
            legend.append("   " if legend else "").append(_GLYPHS[fate], _STYLES[fate])
            legend.append(f" {fate} {number(count)} ({share(count / ledger.total)})")
    yield legend
    worst = [line for line in ledger.lines if line.rollouts and line.reason.fate is not Fate.SOUND]
    for line in sorted(worst, key=lambda line: -line.rollouts)[:reasons]:
        yield Text(f"  {number(line.rollouts)} {line.reason.fate}: {line.reason.meaning}", "dim")


def ledger_bar(ledger: Ledger, width: int = _BAR) -> Text:
    """All rollouts, one at least, as one bar; a fate that any of them has gets a cell."""
    counts = {fate: ledger.count(fate) for fate in Fate if ledger.count(fate)}
    cells = {fate: max(1, count * width // ledger.total) for fate, count in counts.items()}
    largest = max(cells, key=lambda fate: cells[fate])
    cells[largest] += width - sum(cells.values())
    bar = Text()
    for fate, length in cells.items():
        bar.append(_GLYPHS[fate] * length, _STYLES[fate])
    return bar


def _page(ledger: Ledger, run: str, title: str, sound_by_step: Points) -> Iterator[RenderableType]:
    if title:
        yield Text(f"═══ {title}", style="bold")
    if not ledger.total:
        yield Text(_NONE, style="dim")
        yield from outside(ledger)
        return
    yield heading("What became of every training rollout", plural(ledger.total, "rollout"))
    yield ledger_bar(ledger)
    yield Text()
    yield _table(ledger)
    parts = " + ".join(f"{number(ledger.count(fate))} {fate}" for fate in Fate)
    yield Text(f"{parts} = {number(ledger.total)} rollouts", style="bold")
    yield from outside(ledger)
    if any(line.concerned > line.rollouts for line in ledger.lines):
        yield Text(_IN_ALL, style="dim")
    if len({value for _, value in sound_by_step}) > 1:
        yield heading("Sound, step by step", "share of the step's rollouts")
        yield Curves(series={"sound": sound_by_step}, height=6, y_range=(0.0, 1.0))
    yield heading("Next")
    yield layout.command(f"rlvr diagnose {run}", "why, with examples and what to do")


def outside(ledger: Ledger) -> Iterator[Text]:
    """A line on the rollouts that are not among its total, where there are any."""
    said = joined(
        (
            f"{number(ledger.superseded)} that a restart undid" if ledger.superseded else "",
            f"at least {number(ledger.not_recorded)} that were never recorded"
            if ledger.not_recorded
            else "",
        ),
        ", ",
    )
    if said:
        yield layout.warning(f"not among them: {said}")


def _table(ledger: Ledger) -> RenderableType:
    """A row for each fate and, beneath it, for each of its reasons."""
    shown = layout.table("", "rollouts", "share", "in all", left=("",))
    shown.columns[0].no_wrap = False
    for fate in Fate:
        count = ledger.count(fate)
        name = Text(f"{_GLYPHS[fate]} {fate}", style=_STYLES[fate] if count else "")
        shown.add_row(
            name, number(count), share(count / ledger.total), style="bold" if count else "dim"
        )
        for line in ledger.lines:
            if line.reason.fate is fate and fate is not Fate.SOUND:
                shown.add_row(*_reason(line, ledger.total))
    return shown


def _reason(line: Line, total: int) -> Iterator[RenderableType]:
    yield Text(f"    {line.reason.meaning}")
    yield number(line.rollouts)
    yield share(line.rollouts / total)
    yield number(line.concerned)
