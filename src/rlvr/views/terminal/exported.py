"""What an export wrote, what the format can't hold, and how to read it back."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.exporting import ExportReport
from rlvr.redaction import Replaced
from rlvr.utils.sizes import size_text
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, inert, one_line, plural

_SENTENCE = 600
_PLACES = 3


def export_view(report: ExportReport) -> Group:
    """The whole report."""
    return Group(*_page(report))


def replaced_lines(replaced: Sequence[Replaced]) -> Iterator[str]:
    """What was replaced, a line for each pattern."""
    for name in dict.fromkeys(one.pattern for one in replaced):
        of_it = [one for one in replaced if one.pattern == name]
        places = list(dict.fromkeys(place for one in of_it for place in one.places))[:_PLACES]
        where = f": {one_line(', '.join(places), _SENTENCE)}" if places else ""
        times = plural(sum(one.count for one in of_it), "place")
        yield f"{name}: {plural(len(of_it), 'secret')} replaced in {times}{where}"


def _page(report: ExportReport) -> Iterator[RenderableType]:
    rollouts = plural(report.rollouts, "rollout")
    groups = plural(report.groups, "group")
    yield Text(f"exported {rollouts} of {inert(report.run)} as {report.title}", style="bold")
    yield layout.facts(
        (
            ("to", inert(f"{report.output} ({size_text(report.size_bytes)})")),
            ("in", groups),
            (
                "annotations",
                str(report.annotations) if "annotations" not in report.lacks else None,
            ),
        )
    )
    yield from (Text(f"! {sentence}") for sentence in replaced_lines(report.replaced))
    for damage in report.damaged:
        yield layout.warning(one_line(damage, _SENTENCE))
    for remark in report.remarks:
        yield Text(f"! {one_line(remark, _SENTENCE)}")
    yield heading("Not in it", f"what {report.format} can't hold")
    for lack in report.lacks:
        yield Text(f"  {lack}")
    yield heading("Next")
    yield layout.command(inert(report.read_back), "reads it back")
