"""What scoring anew found: a sentence, a table of every side, and rollouts to open."""

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.record.rescore import Change, Pair, Pattern, RescoreExample, RescoreReport, ScoreRow
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import (
    heading,
    inert,
    joined,
    number,
    one_line,
    plural,
    seconds,
)

_SENTENCE = 900
_LINE = 200
_SIDES = {"training": "recorded", "main": "main thread", "worker": "worker"}


def rescore_view(report: RescoreReport, *, run: str) -> Group:
    """The whole report; `run` is how commands call the run."""
    return Group(*_page(report, run))


def _page(report: RescoreReport, run: str) -> Iterator[RenderableType]:
    yield Text(_title(report), style="bold")
    yield Text(_counts(report))
    yield Text("")
    agrees = report.pattern is Pattern.AGREES
    style = layout.GOOD if agrees else layout.BAD if report.disagrees else ""
    mark = "✓ " if agrees else "✗ " if report.disagrees else "? "
    yield Text(mark + one_line(report.headline, _SENTENCE), style=style)
    if report.remedy:
        yield layout.facts([("what to do", one_line(report.remedy, _SENTENCE))])
    if report.total.columns:
        yield heading("Scores", "means of what has a value")
        yield _scores(report)
        yield heading("Disagreements", "rollouts")
        yield _pairs(report)
    yield from _statuses(report)
    yield from _notes(report)
    if report.examples:
        yield heading("Examples")
        for example in report.examples:
            yield layout.command(f"rlvr show {run} {inert(example.id)}", _differing(example))
    yield heading("Next")
    if report.written:
        yield layout.command(f"rlvr diagnose {run} scorer-disagrees", "what it means for the run")
    yield layout.command(f"rlvr show {run}", "the run on a page")


def _title(report: RescoreReport) -> str:
    first, last = report.steps
    steps = f"step {first}" if first == last else f"steps {first}-{last}"
    threads = " and ".join(_SIDES[thread] for thread in report.threads)
    return joined(
        (
            f"rescore of {one_line(report.run, 80)}",
            f"{report.mode}, {steps}",
            f"scorer {one_line(report.loader, 80)}",
            threads,
        )
    )


def _counts(report: RescoreReport) -> str:
    chosen = (
        f"all {plural(report.of, 'rollout')}"
        if report.selected == report.of
        else f"{report.selected:,} of {plural(report.of, 'rollout')}, spread over the steps"
    )
    skipped = (f"{count:,} skipped: {reason}" for reason, count in report.skipped.items())
    stored = (
        "nothing stored, as asked"
        if report.written is None
        else f"{plural(report.written, 'annotation')} stored"
    )
    scored = f"{report.scored:,} scored in {seconds(report.duration_s)}"
    return joined((chosen, scored, *skipped, stored))


def _scores(report: RescoreReport) -> RenderableType:
    sides = list(report.total.columns)
    shown = layout.table("", "weight", *(_SIDES[side] for side in sides), "values", left=("",))
    for row in report.rows:
        columns = [row.columns[side] for side in sides if side in row.columns]
        counts = {column.values for column in columns}
        values = " / ".join(number(column.values) for column in columns)
        shown.add_row(
            one_line(row.name, 60),
            "" if row is report.total else number(row.weight),
            *(number(column.mean) for column in columns),
            number(counts.pop()) if len(counts) == 1 else values,
        )
    return shown


def _pairs(report: RescoreReport) -> RenderableType:
    names = [f"{_SIDES[pair.first]} ≠ {_SIDES[pair.second]}" for pair in report.total.pairs]
    shown = layout.table("", *names, left=("",))
    for row in report.rows:
        shown.add_row(one_line(row.name, 60), *(_pair(pair) for pair in row.pairs))
    return shown


def _pair(pair: Pair) -> Text:
    compared = pair.same + pair.differ
    text = f"{pair.differ:,} of {compared:,}" if compared else "∅"
    unknown = f" ({pair.unknown:,} unknown)" if pair.unknown else ""
    return Text(text + unknown, style=layout.BAD if pair.differ else "")


def _statuses(report: RescoreReport) -> Iterator[RenderableType]:
    lines = [
        f"{one_line(row.name, 60)}, {_SIDES[side]}: {_status_counts(column.statuses)}"
        for row in _below_total(report)
        for side, column in row.columns.items()
        if set(column.statuses) - {"ok", "not_applicable"}
    ]
    if not lines and not report.failures:
        return
    yield heading("Failures")
    for line in lines:
        yield Text(f"  {line}")
    for message, count in report.failures:
        yield Text(f"  {plural(count, 'time')}: {one_line(message, _LINE)}", style="dim")


def _below_total(report: RescoreReport) -> tuple[ScoreRow, ...]:
    """The components; the total alone where no component is known."""
    return report.components or (report.total,)


def _status_counts(statuses: Mapping[str, int]) -> str:
    return joined(
        (f"{count:,} {_status(status)}" for status, count in statuses.items()), separator=", "
    )


def _status(status: str) -> str:
    return "can't be scored from a record" if status == "not_in_record" else status


def _notes(report: RescoreReport) -> Iterator[RenderableType]:
    lines = [*_missing(report), *_changes(report)]
    if report.repaired:
        lines.append(
            "Training had the repair scorer_timeouts, which is not applied here: what is asked is"
            " what the bare scorer does."
        )
    if report.repeated and not report.unsteady:
        lines.append(
            f"{plural(report.repeated, 'rollout')} scored twice in each thread got the same values"
            " both times."
        )
    lines += report.remarks
    if lines:
        yield heading("Notes")
    for line in lines:
        yield Text(f"  {one_line(line, _SENTENCE)}")


def _missing(report: RescoreReport) -> Iterator[str]:
    for name, keys in report.missing.items():
        asked = ", ".join(f"state[{key!r}]" for key in keys)
        yield (
            f"{name or 'The rubric'} can't be scored from a record: it asks for {asked}, which no"
            " record holds."
        )


def _changes(report: RescoreReport) -> Iterator[str]:
    for what, changes in (("packages", report.packages), ("scorers", report.scorers)):
        if changes:
            yield f"Other {what} than in training: {', '.join(map(_change, changes))}."


def _change(change: Change) -> str:
    return f"{change.name} {change.was or 'absent'} → {change.now or 'absent'}"


def _differing(example: RescoreExample) -> str:
    values = ", ".join(
        f"{number(value)} {_SIDES[side]}"
        if value is not None
        else f"{'failed' if side in example.errors else '∅'} {_SIDES[side]}"
        for side, value in example.values.items()
    )
    return f"{one_line(example.name, 60)}: {values}"
