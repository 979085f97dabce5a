"""The rows of the `full_trajectories` table: one per shown trajectory, text and numbers only."""

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlvr.record import Trajectory
from rlvr.sinks.selection import Pick
from rlvr.utils.breakdown import as_number
from rlvr.utils.logging_helpers import (
    extract_trajectory_stats,
    format_conversation,
    format_input_data,
    format_reward_components,
)
from rlvr.utils.places import Places, on_this_machine
from rlvr.utils.statistics import TAGS, TrajectoryStats
from rlvr.utils.text import cut_marker, cut_middle, printable

__all__ = ["Cell", "TableShape"]

Cell = str | float | bool | None

_HEAD: tuple[tuple[str, type], ...] = (
    ("Step", float),
    ("Sample", float),
    ("Input", str),
    ("Prompt", str),
)
_STATISTICS: tuple[tuple[str, type], ...] = (
    ("Rewards", str),
    ("Total_Reward", float),
    ("Num_Turns", float),
    ("Num_Tool_Calls", float),
    ("Num_Tool_Responses", float),
    ("Num_Tool_Errors", float),
    ("Num_Broken_Calls", float),
    ("Num_Chars", float),
    ("Tools", str),
    ("Has_Think", bool),
    ("Has_Cite", bool),
    ("Has_Answer", bool),
    ("Final_Answer", str),
    ("Stop_Reason", str),
    ("Errors", str),
    ("Group", str),
    ("Group_Sample", float),
    ("Chosen_As", str),
    ("Format_Valid", bool),
    ("Advantage", float),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """What the table of a run looks like, fixed at its start.

    `redact` is applied to every text, before it is cut: what it raises fails the row. Texts longer
    than `max_cell_chars` are cut in the middle; the marker names the command that shows them whole.
    """

    components: tuple[str, ...]
    output_dir: str
    redact: Callable[[str], str]
    full: bool = True
    max_cell_chars: int = 50_000
    tags: tuple[str, ...] = TAGS

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return [name for name, _ in self._typed]

    @property
    def types(self) -> list[type]:
        """The type of each column; every cell may be None besides."""
        return [kind for _, kind in self._typed]

    @property
    def _typed(self) -> tuple[tuple[str, type], ...]:
        full = (("Full_Trajectory", str),) if self.full else ()
        rewards = tuple((f"Reward_{name}", float) for name in self.components)
        return (*_HEAD, *full, *_STATISTICS, *rewards, ("Record", str))

    def row(self, pick: Pick, *, sample: int) -> list[Cell]:
        """The cells of one trajectory. `sample` is its place in its table, from 0."""
        trajectory = pick.trajectory
        stats = extract_trajectory_stats(trajectory, tags=self.tags)
        command = self._command(trajectory)
        cells: dict[str, Cell] = {
            "Step": trajectory.step,
            "Sample": sample,
            "Total_Reward": finite(trajectory.reward),
            "Group_Sample": trajectory.sample,
            "Chosen_As": pick.why.value,
            "Advantage": finite(trajectory.advantage),
            **_counts(stats),
            **_component_cells(trajectory, self.components),
            "Record": self._text(_record(trajectory, command), ""),
        }
        for name, text in {**self._texts(trajectory), **_short_texts(trajectory, stats)}.items():
            cells[name] = None if text is None else self._text(text, command)
        return [cells[name] for name in self.columns]

    def _texts(self, trajectory: Trajectory) -> dict[str, str | None]:
        return {
            "Input": format_input_data(trajectory, max_chars=None),
            "Prompt": format_conversation(trajectory.prompt, max_chars=None),
            "Full_Trajectory": format_conversation(trajectory, max_chars=None)
            if self.full
            else None,
            "Rewards": format_reward_components(trajectory.components, total=trajectory.reward),
        }

    def _command(self, trajectory: Trajectory) -> str:
        """The id of the record and the command that opens it, in its own run."""
        folder = shlex.quote(f"{self.output_dir}/rlvr/{trajectory.run}")
        if trajectory.id is None:
            place = f"group {trajectory.group_id}, sample {trajectory.sample}"
            return f"not stored yet ({place}): rlvr show {folder}"
        return f"{trajectory.id}: rlvr show {folder} {trajectory.id}"

    def _text(self, text: str, command: str) -> str:
        """The redacted text, cut to the cell.

        The ends of a long text are redacted beyond the cut, so that no half of a secret is left.
        """
        limit = self.max_cell_chars
        if len(text) <= 4 * limit:
            return cut_middle(printable(self.redact(text)), limit, command)
        kept = max(limit - len(cut_marker(len(text), command)), 0)
        head = printable(self.redact(text[: 2 * limit]))[: kept - kept // 2]
        tail = printable(self.redact(text[-2 * limit :]))
        end = tail[len(tail) - kept // 2 :]
        return head + cut_marker(len(text) - len(head) - len(end), command) + end


def _record(trajectory: Trajectory, command: str) -> str:
    """The command, and the URL of the record while `rlvr view` shows the run."""
    if trajectory.id is None:
        return command
    page = Places(run=trajectory.run).of_trajectory(trajectory.id)
    return f"{command}\n{on_this_machine(page)}"


def finite(value: object) -> float | None:
    """The value as a finite float, else None: W&B charts neither NaN nor infinities."""
    number = as_number(value)
    return number if number is not None and math.isfinite(number) else None


def _short_texts(trajectory: Trajectory, stats: TrajectoryStats) -> dict[str, str | None]:
    errors = [f"{error.where}: {error.type}: {error.text}" for error in trajectory.errors]
    return {
        "Tools": ", ".join(f"{name} x {count}" for name, count in sorted(stats["tools"].items())),
        "Final_Answer": stats["final_answer"],
        "Stop_Reason": trajectory.stop_reason,
        "Errors": "\n".join(errors) or None,
        "Group": trajectory.group_id,
    }


def _counts(stats: TrajectoryStats) -> dict[str, Cell]:
    return {
        "Num_Turns": stats["num_turns"],
        "Num_Tool_Calls": stats["num_tool_calls"],
        "Num_Tool_Responses": stats["num_tool_responses"],
        "Num_Tool_Errors": stats["num_tool_errors"],
        "Num_Broken_Calls": stats["num_malformed_calls"] + stats["num_unparsed_calls"],
        "Num_Chars": stats["num_chars"],
        "Has_Think": stats["has_think"],
        "Has_Cite": stats["has_cite"],
        "Has_Answer": stats["has_answer"],
        "Format_Valid": stats["format_valid"],
    }


def _component_cells(trajectory: Trajectory, names: Sequence[str]) -> dict[str, Cell]:
    values = {component.name: component.value for component in trajectory.components}
    return {f"Reward_{name}": finite(values.get(name)) for name in names}
