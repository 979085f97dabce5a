"""What `rlvr prune` is about to remove."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.utils.sizes import size_text
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import number, one_line

if TYPE_CHECKING:
    from rlvr.runs import PrunePlan


def prune_view(plan: "PrunePlan", *, place: str) -> Group:
    """A row for each kind of thing that goes, and what the run takes before and after."""
    parts: list[RenderableType] = [Text(one_line(f"{plan.run} in {place}", 200), style="bold")]
    if not plan.removals:
        return Group(*parts, Text(f"{size_text(plan.size_bytes)}; there is nothing to remove."))
    shown = layout.table("goes", "files", "steps", "frees", left=("goes", "steps"))
    for removal in plan.removals:
        first, last = removal.first_step, removal.last_step
        steps = "" if first is None else f"{first}" if first == last else f"{first}-{last}"
        files = number(removal.files) if removal.files else ""
        shown.add_row(removal.what, files, steps, size_text(removal.bytes))
    after = max(plan.size_bytes - plan.freed_bytes, 0)
    total = f"{size_text(plan.size_bytes)} now, about {size_text(after)} after"
    return Group(*parts, shown, Text(total))
