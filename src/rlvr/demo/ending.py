"""What the demo ends with: a success and a failure, curves, and the verdict on each run."""

import statistics
from collections.abc import Mapping

from rich.console import RenderableType
from rich.text import Text

from rlvr.analysis import SUMMARY_COLUMNS, RunSummary, summarise
from rlvr.diagnosis import Verdict, diagnose_run
from rlvr.record import Trajectory
from rlvr.runs import Run
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import reward_curves
from rlvr.views.terminal.run import comparison_view
from rlvr.views.terminal.text import heading
from rlvr.views.terminal.trajectory import trajectory_view
from rlvr.views.terminal.verdict import verdict_in_short

__all__ = ["ending", "summaries", "verdicts"]

_OUTCOME = "exact_match"
_WINDOW = 10  # steps; each holds 64 rollouts, so a mean over ten has a standard error below 0.02


def ending(runs: Mapping[str, Run], places: Mapping[str, str], folder: str) -> list[RenderableType]:
    """The closing pages.

    `places` names each run's folder, and `folder` that of all, as a command takes them.
    """
    summarised = summaries(runs)
    name, run = list(runs.items())[-1]
    parts: list[RenderableType] = []
    for title, trajectory in _examples(run):
        siblings = run.group(trajectory.group_id)
        parts += [heading(title), trajectory_view(trajectory, info=run.info, siblings=siblings)]
    title = f"components, {name}"
    parts.append(reward_curves(_components(summarised[name]), title=title, height=7))
    parts.append(comparison_view(summarised))
    for part, verdict in verdicts(runs).items():
        parts += [heading(f"The verdict on {part}"), _exact_match(summarised[part])]
        parts.append(verdict_in_short(verdict, run=places[part]))
    parts.append(heading("Next"))
    parts += [layout.command(*line) for line in _commands(places, name, folder)]
    return parts


def verdicts(runs: Mapping[str, Run]) -> dict[str, Verdict]:
    """What the diagnosis says of each run."""
    return {name: diagnose_run(run) for name, run in runs.items()}


def summaries(runs: Mapping[str, Run]) -> dict[str, RunSummary]:
    """What each run's page says of it."""
    return {name: summarise(run.to_arrow(list(SUMMARY_COLUMNS))) for name, run in runs.items()}


def _components(summary: RunSummary) -> dict[str, list[tuple[int, float]]]:
    series: dict[str, list[tuple[int, float]]] = {}
    for row in summary.rows("train"):
        for name, value in row.components.items():
            if value is not None:
                series.setdefault(name, []).append((row.step, value))
    return series


def _examples(run: Run) -> list[tuple[str, Trajectory]]:
    """A right and a wrong answer of the last step, where there are both; the best and worst."""
    last = run.steps("train")[-1]
    trajectories = sorted(
        run.trajectories(mode="train", step=last, tokens=False),
        key=lambda trajectory: (trajectory.reward or 0.0, len(trajectory.tool_results)),
    )
    return [
        (f"A trajectory that succeeded, step {last}", trajectories[-1]),
        (f"A trajectory that failed, step {last}", trajectories[0]),
    ]


def _commands(places: Mapping[str, str], name: str, folder: str) -> list[tuple[str, str]]:
    return [
        *((f"rlvr diagnose {place}", f"{run}: the whole verdict") for run, place in places.items()),
        (f"rlvr show {places[name]} --max-reward 0.3", f"what still goes wrong in {name}"),
        (f"rlvr view {folder}", "all of it in a browser"),
    ]


def _exact_match(summary: RunSummary) -> Text:
    """Exact match at both ends of the run."""
    values = [
        value
        for row in summary.rows("train")
        if (value := row.components.get(_OUTCOME)) is not None
    ]
    if not values:
        return Text("no exact match was recorded")
    window = min(_WINDOW, len(values))
    return Text(
        f"exact match {values[0]:.0%} at the first step, "
        f"{statistics.fmean(values[-window:]):.0%} over the last {window}"
    )
