"""The questions that read a whole run: functions of it that a process of its own can be asked.

Their answers hold what pages show, and no column of the run.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.analysis import SUMMARY_COLUMNS, RunSummary, summarise
from rlvr.analysis.histories import Course
from rlvr.analysis.outcome import Measure
from rlvr.analysis.reward_rows import Number
from rlvr.analysis.rewards import RewardUse
from rlvr.analysis.tooling import ToolsUse
from rlvr.diagnosis.fates import StepLine, lines_by_step
from rlvr.diagnosis.loading import load_rollouts
from rlvr.errors import RecordNotFound
from rlvr.parity import Parity, compare_runs
from rlvr.questions.contrasting import Contrasted, Wanted, contrast_run
from rlvr.questions.histories import read_table
from rlvr.questions.reading import (
    Members,
    ToolMembers,
    behind_rewards,
    read_rewards,
    read_tools,
)
from rlvr.record import Mode
from rlvr.runs import Run

Filters = Mapping[str, Any]
"""The keywords of `Run.to_arrow`: mode, step, where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """The courses of all examples by mode, and what says that an example is solved; that is None
    where no rollout is recorded."""

    courses: Mapping[Mode, tuple[Course, ...]]
    measure: Measure | None = None
    solved_from: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsExamined:
    """How the tools are used, and the rollouts behind the numbers of each tool and order."""

    use: ToolsUse
    by_tool: Mapping[str, ToolMembers]
    by_pattern: Sequence[Members]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardsExamined:
    """The components, and the rollouts behind each number."""

    use: RewardUse
    behind: Mapping[Number, Members]


def summary(run: Run) -> RunSummary:
    """The steps of the run, their means, and its token evidence."""
    return summarise(run.to_arrow(SUMMARY_COLUMNS))


def fates(run: Run) -> Mapping[int, tuple[StepLine, ...]]:
    """The lines of the ledger of each step."""
    return lines_by_step(load_rollouts(run))


def logged(run: Run) -> Mapping[tuple[str, int], Mapping[str, float]]:
    """The last value of each metric that the trainer logged, by mode and step."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for row in run.metrics():
        values = {sys.intern(name): value for name, value in row.values.items()}
        found.setdefault((row.mode, row.step), {}).update(values)
    return found


def examples(run: Run) -> Examples:
    """The examples over the steps."""
    try:
        table = read_table(run, component=None, threshold=None)
    except RecordNotFound:
        return Examples(courses=dict.fromkeys(Mode, ()))
    return Examples(
        courses={mode: table.courses(mode) for mode in Mode},
        measure=table.measure,
        solved_from=table.solved_from,
    )


def tools(run: Run, filters: Filters) -> ToolsExamined:
    """The tool calls of the rollouts that pass."""
    reading = read_tools(_filtered(run, filters), filters)
    return ToolsExamined(
        use=reading.use,
        by_tool=reading.by_tool(),
        by_pattern=reading.by_pattern(),
    )


def rewards(run: Run, filters: Filters) -> RewardsExamined:
    """The reward components of the rollouts that pass."""
    use, table = read_rewards(_filtered(run, filters), filters)
    return RewardsExamined(use=use, behind=behind_rewards(table, run.info))


def contrast(run: Run, wanted: Wanted) -> Contrasted:
    """What successes do that failures of the same prompt do not."""
    return contrast_run(run if wanted.where is None else run.reopened(), wanted)


def parity(a: Run, b: Run, called: tuple[str, str]) -> Parity:
    """Why two runs score differently; of one run, its training and its evaluations."""
    other = None if a.place == b.place else b
    return compare_runs(a, other, called=called)


def _filtered(run: Run, filters: Filters) -> Run:
    """The run, with an index of its own where it filters."""
    return run if filters["where"] is None else run.reopened()
