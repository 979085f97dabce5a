"""A verdict: what is wrong with a run, how it shows, and what to do."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.diagnosis import Example, Finding, Healthy, Number, Severity, Unknown, Verdict
from rlvr.diagnosis.headline import headline, mostly_judged
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import Curves
from rlvr.views.terminal.ledger import ledger_in_short, outside
from rlvr.views.terminal.text import heading, inert, joined, number, one_line, plural
from rlvr.views.verdict import (
    cost_text,
    diagnose_command,
    example_command,
    extent_text,
    number_text,
    page_of,
    signal_text,
)

_MARKS = {
    Severity.ERROR: ("✗ ERROR", "bold red"),
    Severity.WARNING: ("⚠ WARNING", "bold yellow"),
    Severity.NOTE: ("· NOTE", "bold cyan"),
}
_LONG = 2_000
_PLOT_HEIGHT = 5
_BRIEFS = 4


def verdict_view(verdict: Verdict, *, run: str = "RUN", title: str = "") -> Group:
    """The whole verdict: headline, ledger, findings, what is healthy, what is unknown.

    `title` names the run, `run` is how commands call it. Errors and warnings are shown in full,
    notes in short.
    """
    return Group(*_page(verdict, run, title))


def outcomes_view(verdict: Verdict, *, run: str = "RUN", title: str = "") -> Group:
    """What the verdict holds, each finding in full, without headline and ledger."""
    return Group(*_outcomes(verdict, run, title))


def verdict_in_short(
    verdict: Verdict, *, run: str = "RUN", title: str = "", changes: Sequence[Text] = ()
) -> Group:
    """Headline, bar, and of the worst findings the sentence, an example and the remedy.

    `changes`, lines of what came and went, stand before the findings, which a low screen may cut.
    """
    return Group(*_in_short(verdict, run, title, changes))


def _page(verdict: Verdict, run: str, title: str) -> Iterator[RenderableType]:
    yield from _head(verdict, title)
    ranked = [f for f in verdict.findings if f.severity is not Severity.NOTE]
    for at, finding in enumerate(ranked, 1):
        yield from _in_full(finding, run, f"{at}. ")
    notes = [f for f in verdict.findings if f.severity is Severity.NOTE]
    if notes:
        yield heading("Worth knowing", f"in full: {inert(diagnose_command(verdict, run, 'CODE'))}")
        for finding in notes:
            yield from _note(finding, run)
    yield from _healthy(verdict.healthy)
    yield from _unknown(verdict.unknown)
    if verdict.rollouts:
        yield heading("Next")
        yield from (layout.command(*line) for line in _next(verdict, run))


def _outcomes(verdict: Verdict, run: str, title: str) -> Iterator[RenderableType]:
    if title:
        yield Text(f"═══ {title}", style="bold")
    if not verdict.rollouts:
        yield Text(headline(verdict)[0])
    for finding in verdict.findings:
        yield from _in_full(finding, run, "")
    yield from _healthy(verdict.healthy)
    yield from _unknown(verdict.unknown)


def _in_short(
    verdict: Verdict, run: str, title: str, changes: Sequence[Text]
) -> Iterator[RenderableType]:
    yield from _head(verdict, title)
    if changes:
        yield Text()
        yield from changes
    ranked = [f for f in verdict.findings if f.severity is not Severity.NOTE][:_BRIEFS]
    for finding in ranked:
        yield Text()
        yield from _brief(finding, run)
    counts = (
        (len(verdict.findings) - len(ranked), "further finding"),
        (len({healthy.code for healthy in verdict.healthy}), "cause ruled out", "causes ruled out"),
        (len({unknown.code for unknown in verdict.unknown}), "unknown", "unknown"),
    )
    rest = joined(plural(*count) for count in counts if count[0])
    if rest:
        yield Text()
        yield Text(f"besides: {rest}", style="dim")


def _head(verdict: Verdict, title: str) -> Iterator[RenderableType]:
    if title:
        yield Text(f"═══ {title}", style="bold")
    yield Text(extent_text(verdict), style="dim")
    sentences = [one_line(sentence, _LONG) for sentence in headline(verdict)]
    mark, style = _headline_mark(verdict)
    yield layout.facts([(Text(mark, f"{style} not dim"), Text("\n".join(sentences), style))])
    yield from (layout.warning(one_line(remark, 400)) for remark in verdict.remarks)
    if verdict.rollouts:
        yield Text()
    yield from ledger_in_short(verdict.ledger)
    yield from outside(verdict.ledger)


def _headline_mark(verdict: Verdict) -> tuple[str, str]:
    if not verdict.rollouts:
        return "?", "bold"
    if verdict.worst in (Severity.ERROR, Severity.WARNING):
        mark, style = _MARKS[verdict.worst]
        return mark[0], style
    return ("✓", "bold green") if mostly_judged(verdict) else ("?", "bold")


def _in_full(finding: Finding, run: str, place: str) -> Iterator[RenderableType]:
    yield _title(finding, place)
    yield Text(one_line(finding.sentence, _LONG), style="bold")
    yield Text(signal_text(finding), style="dim")
    if finding.numbers:
        yield Text()
        yield layout.facts((_name(n), _value(n)) for n in finding.numbers)
    yield from _plot(finding)
    if finding.examples:
        yield Text()
        yield from _examples(finding.examples, run)
    yield Text()
    yield layout.facts(_reasoning(finding))


def _title(finding: Finding, place: str) -> Text:
    mark, style = _MARKS[finding.severity]
    shown = Text("\n── ", style="bold").append(place).append(mark, style)
    return shown.append(f"  {inert(finding.code)} ──")


def _name(measured: Number) -> str:
    return one_line(measured.name, 60)


def _value(measured: Number) -> Text:
    return Text(number_text(measured))


def _plot(finding: Finding) -> Iterator[RenderableType]:
    """The finding's plot; a line on it where nothing changes, nothing where it has one point."""
    plot = finding.plot
    if plot is None or all(len(points) < 2 for points in plot.series.values()):
        return
    yield Text()
    title, x_label = one_line(plot.title, 200), one_line(plot.x_label, 40)
    values = {y for points in plot.series.values() for _, y in points if y == y}  # noqa: PLR0124 - NaN
    if len(values) == 1:
        yield Text(f"{title}: {number(values.pop(), 2)} at every {x_label}", style="dim")
        return
    yield Curves(
        series=plot.series, title=title, x_label=x_label, y_range=plot.y_range, height=_PLOT_HEIGHT
    )


def _examples(examples: Sequence[Example], run: str) -> Iterator[Text]:
    """The commands that open them, those that show the same under one line."""
    for why in dict.fromkeys(example.why for example in examples):
        yield Text(f"for example, {one_line(why, 400)}:", style="dim")
        for example in examples:
            if example.why == why:
                yield _command(run, example)


def _command(run: str, example: Example) -> Text:
    command = inert(example_command(run, example))
    return Text(f"  {command}", style="cyan", no_wrap=True, overflow="ignore")


def _reasoning(finding: Finding) -> Iterator[tuple[str, Text]]:
    for at, other in enumerate(finding.lookalikes):
        shown = Text(one_line(other.what, _LONG))
        shown.append(f"; told apart: {one_line(other.told_apart_by, _LONG)}", "dim")
        yield "looks alike" if not at else "", shown
    if finding.refuted_by:
        yield "could refute it", Text(one_line(finding.refuted_by, _LONG))
    if finding.remedy:
        yield "what to do", Text(one_line(finding.remedy, _LONG), style="bold")
    yield "more", Text(page_of(inert(finding.code)))


def _brief(finding: Finding, run: str) -> Iterator[RenderableType]:
    mark, style = _MARKS[finding.severity]
    shown = Text().append(f"{mark}  {inert(finding.code)}", style)
    yield shown.append(f"  {cost_text(finding)}", "dim")
    yield Text(one_line(finding.sentence, _LONG))
    said = (("could refute it", finding.refuted_by), ("what to do", finding.remedy))
    yield layout.facts((name, Text(one_line(text, _LONG))) for name, text in said if text)
    if finding.examples:
        yield _command(run, finding.examples[0])


def _note(finding: Finding, run: str) -> Iterator[RenderableType]:
    mark, style = _MARKS[finding.severity]
    shown = Text().append(f"{mark}  {inert(finding.code)}", style)
    yield shown.append(f"  {one_line(finding.sentence, _LONG)}")
    if finding.examples:
        yield _command(run, finding.examples[0])


def _healthy(healthy: Sequence[Healthy]) -> Iterator[RenderableType]:
    if healthy:
        yield heading("Healthy")
        yield layout.facts(
            (_marked("✓", "green", one.code), Text(one_line(one.sentence, _LONG)))
            for one in healthy
        )


def _unknown(unknown: Sequence[Unknown]) -> Iterator[RenderableType]:
    if unknown:
        yield heading("Unknown", "what the record can't judge, and what would")
        yield layout.facts((_marked("?", "yellow", one.code), _because(one)) for one in unknown)


def _marked(mark: str, style: str, code: str) -> Text:
    return Text(mark, style=f"{style} not dim").append(f" {inert(code)}", "default")


def _because(unknown: Unknown) -> Text:
    shown = Text(one_line(unknown.because, _LONG))
    if unknown.needs:
        shown.append(f"; needs {one_line(unknown.needs, _LONG)}", "dim")
    return shown


def _next(verdict: Verdict, run: str) -> Iterator[tuple[str, str]]:
    yield f"rlvr ledger {run}", "what became of every rollout"
    if verdict.findings:
        yield inert(diagnose_command(verdict, run, verdict.findings[0].code)), "one finding alone"
    if verdict.parity is not None:
        called = dict.fromkeys((verdict.parity.a.called, verdict.parity.b.called))
        yield f"rlvr parity {' '.join(called)}", "training and evaluation beside each other"
    yield f"rlvr show {run}", "the run on a page"
