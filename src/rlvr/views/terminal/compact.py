"""What `rlvr compact` did, or would do."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from rlvr.utils.sizes import size_text
from rlvr.views.terminal.text import number, one_line, plural

if TYPE_CHECKING:
    from rlvr.runs import CompactPlan, CompactReport
    from rlvr.runs.compact import Stored


def compact_view(plan: "CompactPlan", report: "CompactReport | None", *, place: str) -> Group:
    """Files and bytes before and after; without a report what would be written."""
    lines = [Text(one_line(f"{plan.run} in {place}", 200), style="bold")]
    if report is None:
        lines.append(Text(f"{_stored(plan.before)} now"))
        done = (
            f"{number(plan.batches)} of them would become {number(plan.written)}"
            if plan.written
            else "there is nothing to compact"
        )
        lines.append(Text(done))
        return Group(*lines)
    lines.append(Text(f"{_stored(plan.before)} before, {_stored(report.after)} after"))
    if not report.written and not report.removed:
        lines.append(Text("there was nothing to compact"))
    return Group(*lines)


def _stored(stored: "Stored") -> str:
    return f"{plural(stored.files, 'file', 'files')} of trajectories with {size_text(stored.bytes)}"
