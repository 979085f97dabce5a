"""What a list of runs says of each, read as late and as little as its question allows.

Rewards are read from the files of the first and the last step alone, counts from what the processes
wrote of themselves, so that a folder of a thousand runs lists in seconds.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.cli.opening import shown_path, shown_place
from rlvr.errors import NewerFormat
from rlvr.record import Json, Mode

if TYPE_CHECKING:
    from rlvr.record import RunInfo
    from rlvr.runs import Run, RunStatus
    from rlvr.runs.filtering.names import Type
    from rlvr.views.terminal.listing import RunLine


class ListedRun:
    """One run of a list. What can't be read of it is its `problem`, and no error."""

    def __init__(self, folder: Path, opened: "Run | None" = None) -> None:
        self.folder = folder
        self._opened = opened
        self._newer: str | None = None

    @cached_property
    def run(self) -> "Run | None":
        """The run; None where a newer rlvr wrote it."""
        from rlvr.runs import Run

        try:
            run = self._opened or Run(self.folder)
            _ = run.attempts
        except NewerFormat as error:
            self._newer = str(error)
            return None
        return run

    @cached_property
    def info(self) -> "RunInfo | None":
        """Its settings, where they can be read."""
        return self.run.info if self.run else None

    @cached_property
    def settings(self) -> Mapping[str, Json]:
        """Its settings by their dotted names."""
        from rlvr.record.settings import settings_of

        return settings_of(self.info) if self.info else {}

    @cached_property
    def started_at(self) -> float:
        """When its newest attempt started; 0.0 where that is not known."""
        return self.run.started_at if self.run else 0.0

    @cached_property
    def status(self) -> "RunStatus | None":
        """What its processes recorded."""
        return self.run.status() if self.run else None

    @cached_property
    def _found(self) -> tuple[Mode, list[int]]:
        trained = self.run.steps(Mode.TRAIN) if self.run else []
        if trained or self.run is None:
            return Mode.TRAIN, trained
        return Mode.EVAL, self.run.steps(Mode.EVAL)

    @property
    def mode(self) -> Mode:
        """Of its training, else of its evaluations."""
        return self._found[0]

    @property
    def steps(self) -> list[int]:
        """Its steps with rollouts of that mode."""
        return self._found[1]

    @cached_property
    def kind(self) -> str | None:
        """Whether it trained or only evaluates: by its settings, or by the rollouts it has."""
        if self.info is None and not self.steps:
            return None
        evaluates = self.info is not None and self.info.is_evaluation
        evaluates = evaluates or bool(self.steps and self.mode is Mode.EVAL)
        return "evaluation" if evaluates else "training"

    @cached_property
    def rewards(self) -> tuple[float | None, float | None]:
        """The mean of the first and of the last step that can be read."""
        return self._reward(iter(self.steps)), self._reward(reversed(self.steps))

    @cached_property
    def size_bytes(self) -> int:
        """What it takes on disk."""
        from rlvr.store import folder_bytes

        return self.run.size_bytes if self.run else folder_bytes(self.folder)

    @property
    def place(self) -> str:
        """Its folder or URL, as a command takes it."""
        return shown_place(self.run.place) if self.run else shown_path(self.folder)

    @property
    def problem(self) -> str | None:
        """What could not be read of it so far."""
        if self.run is None:
            return self._newer
        found = self.run.damage_met
        if found:
            more = f" (and {len(found) - 1} more files)" if len(found) > 1 else ""
            return f"{found[0]}{more}"
        return None if self.info else "run.json is missing: it was killed before it was written"

    def line(self, columns: tuple[str, ...] = ()) -> "RunLine":
        """What the list says of it; `columns` are values that are asked for beyond that."""
        from rlvr.views.terminal.listing import RunLine
        from rlvr.views.terminal.status import short_state

        info = self.info
        repairs = info.repairs if info else {}
        first, last = self.rewards
        values = {name: self.value(name) for name in columns}
        return RunLine(
            id=self.folder.name,
            place=self.place,
            kind=self.kind,
            steps=len(self.steps),
            trajectories=self.status.recorded if self.status else 0,
            size_bytes=self.size_bytes,
            state=short_state(self.status) if self.status else "written by a newer rlvr",
            name=info.name if info else None,
            model=info.model if info else None,
            trainer=info.trainer if info else None,
            started_at=info.created_at if info else None,
            first_reward=first,
            last_reward=last,
            repairs_on=sum(repairs.values()) if repairs else None,
            repairs_off=len(repairs) - sum(repairs.values()) if repairs else None,
            values=values,
            problem=self.problem,
        )

    def value(self, name: str) -> Json:
        """A field of FIELDS, or a setting by its full name; None where it has none."""
        return FIELDS[name](self) if name in FIELDS else self.settings.get(name)

    def _reward(self, steps: Iterator[int]) -> float | None:
        import pyarrow.compute as pc

        for step in steps:
            if self.run is None:
                break
            table = self.run.to_arrow(["reward"], mode=self.mode, step=step)
            if table.num_rows:
                mean: float | None = pc.mean(table["reward"]).as_py()
                return mean
        return None


def _gain(listed: ListedRun) -> float | None:
    first, last = listed.rewards
    return None if first is None or last is None else last - first


def _life(listed: ListedRun) -> str | None:
    from rlvr.views.terminal.status import life

    status = listed.status
    return None if status is None else life(status) if status.ranks else "nothing recorded yet"


FIELDS: Mapping[str, Callable[[ListedRun], Json]] = {
    "id": lambda run: run.folder.name,
    "name": lambda run: run.settings.get("name"),
    "place": lambda run: run.place,
    "kind": lambda run: run.kind,
    "state": _life,
    "lost": lambda run: run.status.not_recorded if run.status else None,
    "started": lambda run: run.started_at or None,
    "attempts": lambda run: len(run.run.attempts) if run.run else None,
    "steps": lambda run: len(run.steps),
    "rollouts": lambda run: run.status.recorded if run.status else None,
    "size": lambda run: run.size_bytes,
    "first_reward": lambda run: run.rewards[0],
    "last_reward": lambda run: run.rewards[1],
    "reward": lambda run: run.rewards[1],
    "gain": _gain,
}
"""What runs are sorted and filtered by beside their settings."""


def field_types() -> "dict[str, Type]":
    """The type of each of FIELDS."""
    from rlvr.runs.filtering.names import Type

    texts = ("id", "name", "place", "kind", "state")
    return {name: Type.TEXT if name in texts else Type.NUMBER for name in FIELDS}


def full_names(runs: list[ListedRun], names: tuple[str, ...]) -> tuple[str, ...]:
    """Fields, and settings by their full names.

    Raises:
        ConfigurationError: no run has one of them.
    """
    from rlvr.analysis.replicates import full_name

    if all(name in FIELDS for name in names):
        return names
    known = [*FIELDS, *dict.fromkeys(name for run in runs for name in run.settings)]
    return tuple(full_name(known, name) for name in names)


def listed_runs(place: str) -> list[ListedRun]:
    """Every run at or below a folder or URL, oldest first.

    Raises:
        NewerFormat: one behind a URL was written by a newer rlvr.
        ConfigurationError, MissingDependency, RemoteUnavailable: the URL can't be opened.
    """
    from rlvr.remote import local_path
    from rlvr.runs import find_runs, run_folders

    local = local_path(place)
    if local is None:
        return [ListedRun(run.path, run) for run in find_runs(place)]
    found = [ListedRun(folder) for folder in run_folders(local)]
    return sorted(found, key=lambda run: (run.started_at, run.folder.name))


def chosen(runs: list[ListedRun], where: str) -> list[ListedRun]:
    """The runs for which the expression holds.

    Raises:
        ConfigurationError: it is none, or names what no run has.
    """
    from rlvr.runs.choosing import passing

    def values(name: str) -> list[Json]:
        (full,) = full_names(runs, (name,))
        return [run.value(full) for run in runs]

    return [runs[at] for at in passing(where, len(runs), values, field_types())] if runs else []


def ordered(runs: list[ListedRun], by: str, *, reverse: bool) -> list[ListedRun]:
    """The runs from the lowest value to the highest, or back; those without one come first.

    Raises:
        ConfigurationError: no run has such a setting.
    """
    (name,) = full_names(runs, (by,)) if runs else (by,)
    valued = [(run.value(name), run) for run in runs]
    having = [pair for pair in valued if _has_order(pair[0])]
    lacking = [run for value, run in valued if not _has_order(value)]
    having.sort(key=lambda pair: _order(pair[0]), reverse=reverse)
    return [*lacking, *(run for _, run in having)]


def _has_order(value: Json) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _order(value: Json) -> tuple[bool, float, str]:
    """Numbers by size, then anything else as text."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)
