"""Whether a run is sound: a line for each question, then what is wrong."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.utils.sizes import size_text
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, number, one_line, plural, seconds

if TYPE_CHECKING:
    from rlvr.checking import RunCheck, SoundnessReport

_MARKS = {"ok": ("✓", layout.GOOD), "wrong": ("✗", layout.BAD), "unknown": ("∅", "dim")}


def check_view(report: "SoundnessReport", *, run: str) -> Group:
    """The report; `run` is how a command names the run."""
    return Group(*_page(report, run))


def _page(report: "SoundnessReport", run: str) -> Iterator[RenderableType]:
    yield Text(one_line(report.run, 120), style="bold")
    yield Text(
        f"{plural(report.rollouts, 'rollout')} in {plural(report.files, 'file')},"
        f" {size_text(report.bytes)}, checked in {seconds(report.duration_s)}"
    )
    bad = [check for check in report.checks if check.mark == "wrong"]
    unknown = sum(check.mark == "unknown" for check in report.checks)
    left = f"; {plural(unknown, 'check')} had nothing to look at" if unknown else ""
    if bad:
        names = ", ".join(check.name for check in bad)
        yield layout.warning(f"something is wrong with: {names}{left}")
    else:
        yield Text(f"✓ nothing is wrong{left}", style=layout.GOOD)
    yield heading("Checks")
    yield _table(report)
    for check in bad:
        yield from _wrong(check, run)
    for name, files in report.migrations.items():
        yield Text(
            f"\n{plural(files, 'batch', 'batches')} of an older rlvr, migrated by {name};"
            " files stay as they are"
        )


def _table(report: "SoundnessReport") -> RenderableType:
    shown = layout.table("", "check", "wrong", "of", "", "question", left=("", "check", "question"))
    for check in report.checks:
        mark, style = _MARKS[check.mark]
        known = check.mark != "unknown"
        shown.add_row(
            Text(mark, style=style),
            Text(check.name, style=style if check.wrong else ""),
            number(check.wrong) if known else "",
            number(check.examined) if known else "",
            check.unit if known else "",
            Text(check.question if known else f"not checked: {check.because}", style="dim"),
        )
        for note in check.notes:
            if note != check.because:
                shown.add_row("", "", "", "", "", Text(one_line(note, 300), style="dim"))
    return shown


def _wrong(check: "RunCheck", run: str) -> Iterator[RenderableType]:
    yield heading(check.name, f"{check.wrong:,} wrong; {check.remedy}")
    for example in check.examples:
        why = one_line(example.why, 400)
        if example.is_id:
            yield layout.command(f"rlvr show {run} {one_line(example.where, 120)}", why)
        else:
            yield Text(f"  {one_line(example.where, 200)}: {why}")
    if check.wrong > len(check.examples):
        yield Text(f"  and {check.wrong - len(check.examples):,} more", style="dim")
