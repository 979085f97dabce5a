"""What a preflight found: a line for each check, and the first thing to mend."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.record.check import Check, CheckStatus, PreflightReport
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, inert, joined, one_line, plural, seconds

_MARKS = {
    CheckStatus.PASS: ("✓ pass", layout.GOOD),
    CheckStatus.FAIL: ("✗ fail", layout.BAD),
    CheckStatus.UNKNOWN: ("? unknown", "dim"),
}
_SENTENCE = 600


def preflight_view(report: PreflightReport) -> Group:
    """The whole report."""
    return Group(*_page(report))


def summary_line(report: PreflightReport) -> str:
    """How many checks came out how."""
    counts = ((report.having(status), status) for status in CheckStatus)
    return joined(f"{len(checks)} {status}" for checks, status in counts if checks)


def _page(report: PreflightReport) -> Iterator[RenderableType]:
    repairs = plural(len(report.repairs), "repair") if report.repairs else "no repair"
    yield Text(
        joined(
            (
                f"preflight of {inert(report.trainer)}",
                repairs,
                f"inference: {inert(report.inference)}",
                plural(report.rollouts, "rollout"),
                seconds(report.duration_s),
            )
        ),
        style="bold",
    )
    yield heading("Checks", summary_line(report))
    shown = layout.TidyTable.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for check in report.checks:
        mark, style = _MARKS[check.status]
        shown.add_row(
            Text(mark, style=style), inert(check.name), one_line(check.sentence, _SENTENCE)
        )
    yield shown
    first = report.first_to_mend
    if first is not None:
        yield from _first(report, first)


def _first(report: PreflightReport, first: Check) -> Iterator[RenderableType]:
    others = len(report.failed) - 1
    yield heading("First to mend", first.name)
    yield Text(one_line(first.remedy, _SENTENCE))
    if others:
        verb = "stands" if others == 1 else "stand"
        yield Text(
            f"{plural(others, 'failed check')} {verb} after it and may be an effect: mend this one"
            " and ask again.",
            style="dim",
        )
