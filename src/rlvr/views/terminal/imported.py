"""What an import brought in: what was recognised, what it lacks, what was damaged, what is next."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.interchange.report import ImportReport
from rlvr.utils.sizes import size_text
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, inert, joined, number, one_line, plural, seconds

_SENTENCE = 600


def import_view(report: ImportReport, *, run: str) -> Group:
    """The whole report; `run` is how commands call the run that was written."""
    return Group(*_page(report, run))


def _page(report: ImportReport, run: str) -> Iterator[RenderableType]:
    yield Text(f"imported {one_line(str(report.source), 200)}", style="bold")
    rate = report.read_bytes / report.duration_s if report.duration_s else 0.0
    yield layout.facts(
        (
            ("recognised", f"{report.title}, {plural(report.files, 'file')}"),
            ("rollouts", _rollouts(report)),
            ("in", f"{plural(report.steps, 'step')}, {plural(report.groups, 'group')}"),
            ("components", _components(report)),
            (
                "read",
                f"{size_text(report.read_bytes)} in {seconds(report.duration_s)}"
                f" ({size_text(rate)}/s)",
            ),
            ("run", inert(run)),
        )
    )
    yield from _lacking(report)
    yield from _damaged(report)
    yield from _notes(report)
    yield heading("Next")
    if "train" in report.rollouts:
        yield layout.command(f"rlvr diagnose {run}", "why its reward does what it does")
    yield layout.command(f"rlvr show {run}", "the run on a page")


def _rollouts(report: ImportReport) -> str:
    return joined((f"{number(n)} ({mode})" for mode, n in report.rollouts.items()), ", ")


def _components(report: ImportReport) -> str:
    return (
        ", ".join(
            one_line(name, 60)
            if held == report.total
            else f"{one_line(name, 60)} (in {number(held)})"
            for name, held in report.components.items()
        )
        or "none"
    )


def _lacking(report: ImportReport) -> Iterator[RenderableType]:
    if report.absent:
        yield heading("Not in the source", "and which causes stay unknown for it")
        yield layout.facts((what, ", ".join(codes) or "–") for what, codes in report.absent.items())
    if report.partly:
        yield heading("In some rollouts only")
        yield layout.facts(
            (what, f"{number(held)} of {number(report.total)}")
            for what, held in report.partly.items()
        )
    if report.inferred:
        yield heading("Inferred, not read")
        for sentence in report.inferred:
            yield Text(f"  {one_line(sentence, _SENTENCE)}")


def _damaged(report: ImportReport) -> Iterator[RenderableType]:
    if not report.damaged:
        return
    yield heading("Damaged", "left out")
    lines = plural(report.damaged, "line, row or file", "lines, rows or files")
    yield layout.warning(f"{lines} could not be read")
    for place in report.first_damaged:
        yield Text(f"  {one_line(place.text, _SENTENCE)}")
    if report.damaged > len(report.first_damaged):
        yield Text(f"  and {number(report.damaged - len(report.first_damaged))} more", "dim")


def _notes(report: ImportReport) -> Iterator[RenderableType]:
    for note in report.passed_over:
        yield layout.warning(one_line(note, _SENTENCE))
    if report.other_formats:
        others = ", ".join(report.other_formats)
        yield layout.warning(
            f"{report.format} was taken; {others} was found here too: --format reads it"
        )
    if report.earlier:
        yield layout.warning(
            f"the same source was imported before, as {', '.join(report.earlier[-3:])}; this is a"
            " run of its own beside it"
        )
