"""Gather what the page of a run shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr.cli.opening import Opened, shown_place

if TYPE_CHECKING:
    from rlvr.analysis import RunSummary, ToolUse
    from rlvr.analysis.passes import PassRates
    from rlvr.record import RunInfo
    from rlvr.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A run's page as values. `tools` compares the first training step with the last; `rates` are
    those of a run that only evaluates, None for others.
    """

    info: "RunInfo | None"
    summary: "RunSummary"
    tools: "Mapping[str, Sequence[ToolUse]]"
    damaged: Sequence[str]
    pruned: Sequence[str]
    size_bytes: int
    state: str
    place: str
    rates: "PassRates | None" = None

    def values(self) -> dict[str, Any]:
        """What the JSON document holds."""
        return {
            "info": self.info,
            "summary": self.summary,
            "tools": self.tools,
            "damaged": self.damaged,
            "pruned": self.pruned,
            "size_bytes": self.size_bytes,
            "state": self.state,
            "place": self.place,
            "rates": self.rates,
        }


def load_page(opened: Opened) -> Page:
    """Read what the page needs: scalar columns of all steps, tool calls of two."""
    from rlvr.analysis import SUMMARY_COLUMNS, summarise
    from rlvr.views.terminal.status import state_line

    run = opened.run
    summary = summarise(run.to_arrow(SUMMARY_COLUMNS))
    return Page(
        info=run.info,
        summary=summary,
        tools=_tools(run, summary),
        damaged=[str(problem) for problem in run.damaged],
        pruned=run.pruning().sentences,
        size_bytes=run.size_bytes,
        state=state_line(run.status()),
        place=shown_place(run.place),
        rates=_rates(run),
    )


def _rates(run: "Run") -> "PassRates | None":
    from rlvr.analysis.passes import PASS_COLUMNS, pass_rates
    from rlvr.record import Mode

    info = run.info
    if info is None or not info.is_evaluation or info.outcome is None:
        return None
    return pass_rates(run.to_arrow(PASS_COLUMNS, mode=Mode.EVAL), info.outcome)


def _tools(run: "Run", summary: "RunSummary") -> "dict[str, Sequence[ToolUse]]":
    from rlvr.analysis import tool_use
    from rlvr.record import Part

    if not summary.modes:
        return {}
    mode = summary.modes[0]
    without = run.pruning().steps_without(Part.MESSAGES)
    steps = [row.step for row in summary.rows(mode) if row.step not in without]
    if not steps:
        return {}
    ends = {f"step {step}": step for step in (steps[0], steps[-1])}
    return {name: tool_use(run.trajectories(mode=mode, step=step)) for name, step in ends.items()}
