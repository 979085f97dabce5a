"""Which trajectories of a run a person asks for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvr.errors import ConfigurationError, RecordNotFound
from rlvr.record import Mode
from rlvr.utils.spans import span_of

if TYPE_CHECKING:
    import pyarrow as pa

    from rlvr.cli.paging import Page
    from rlvr.record import Trajectory
    from rlvr.runs import Run
    from rlvr.views.terminal.listing import TrajectoryLine

Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="EXPRESSION",
        help="Only rollouts that it holds for, such as \"reward < 0.2 and tool = 'retrieve'\".",
    ),
]
"""The option of every verb that takes some of a run's rollouts; docs/queries.md has its names.

Its text is the keyword `where` of `Run.trajectories`, `Run.to_arrow` and `load_evidence`, and of
`Selection`, which put the questions; a wrong expression is their ConfigurationError.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters; None leaves a field free. Rewards are bounds, both included."""

    step: int | range | None = None
    mode: Mode | None = None
    group: str | None = None
    min_reward: float | None = None
    max_reward: float | None = None
    where: str | None = None

    @property
    def filters(self) -> dict[str, Any]:
        """The keywords of `Run.trajectories` and `Run.to_arrow` for what is set."""
        chosen: dict[str, Any] = {
            "step": self.step,
            "mode": self.mode,
            "group": self.group,
            "where": self.where,
        }
        if self.min_reward is not None or self.max_reward is not None:
            low = float("-inf") if self.min_reward is None else self.min_reward
            high = float("inf") if self.max_reward is None else self.max_reward
            chosen["reward"] = (low, high)
        return {name: value for name, value in chosen.items() if value is not None}


def chosen_steps(step: int | None, steps: str | None) -> int | range | None:
    """The steps of --step N or --steps A:B, both bounds included; None where neither is given.

    Raises:
        ConfigurationError: both are given, or it is no range.
    """
    if step is not None and steps is not None:
        raise ConfigurationError("name --step or --steps, not both.")
    if steps is None:
        return step
    span = span_of(steps)
    if span is None:
        raise ConfigurationError(f"--steps is {steps!r}; write 10:20, 10: or :20.")
    return span


def trajectory_lines(table: "pa.Table", page: "Page") -> "list[TrajectoryLine]":
    """The rows of a page of a table with LINE_COLUMNS."""
    from rlvr.views.terminal.listing import TrajectoryLine

    return [
        TrajectoryLine(
            turns=row.pop("derived_num_turns"),
            tool_calls=row.pop("derived_num_tool_calls"),
            tool_errors=row.pop("derived_num_tool_errors"),
            **row,
        )
        for row in table.slice(page.offset, page.limit).to_pylist()
    ]


LINE_COLUMNS = (
    "id",
    "mode",
    "step",
    "group_id",
    "sample",
    "reward",
    "advantage",
    "stop_reason",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_num_tool_errors",
)


def find(run: "Run", named: str) -> "Trajectory | list[Trajectory]":
    """The trajectory or the group of that id, or of the only id that begins so.

    Raises:
        RecordNotFound: nothing has such an id.
        ConfigurationError: several ids begin so.
    """
    from rlvr.store import parse_record_id

    if parse_record_id(named) is not None:
        return run.trajectory(named)
    table = run.to_arrow(["id", "group_id"], superseded=True)
    ids: list[str] = [str(known) for known in table["id"].to_pylist()]
    groups = list(dict.fromkeys(str(known) for known in table["group_id"].to_pylist()))
    if named in groups:
        return list(run.group(named))
    fitting = [known for known in ids if known.startswith(named)]
    fitting_groups = [known for known in groups if known.startswith(named)]
    if len(fitting) == 1:
        return run.trajectory(fitting[0])
    if not fitting and len(fitting_groups) == 1:
        return list(run.group(fitting_groups[0]))
    if not fitting and not fitting_groups:
        raise RecordNotFound(
            f"no trajectory or group of run {run.id} has an id that begins with {named!r}; "
            "`rlvr show RUN --step N` lists the ids of a step."
        )
    several = [*fitting, *fitting_groups]
    some = ", ".join(several[:4])
    raise ConfigurationError(
        f"{named!r} begins {len(several)} ids ({some}, ...); name one of them."
    )


def siblings_of(run: "Run", trajectory: "Trajectory") -> "list[Trajectory]":
    """The rollouts of its group in its own attempt, itself included."""
    found = run.trajectories(
        mode=trajectory.mode,
        step=trajectory.step,
        group=trajectory.group_id,
        superseded=True,
        tokens=False,
    )
    return [sibling for sibling in found if sibling.attempt == trajectory.attempt]
