"""Runs, groups and trajectories as HTML in a notebook.

    %load_ext rlvr
    rlvr.open_run("outputs/demo")

or `rlvr.notebook.register()`. In other notebooks, `rlvr.to_html(value)` gives the text.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.errors import ConfigurationError, MissingDependency

if TYPE_CHECKING:
    from rlvr.record import Trajectory
    from rlvr.runs import Run

_SHOWN = (
    ("rlvr.runs.run", "Run"),
    ("rlvr.record.group", "Group"),
    ("rlvr.record.trajectory", "Trajectory"),
)


def to_html(value: "Run | Trajectory | Sequence[Trajectory]", *, run: "Run | None" = None) -> str:
    """A run, a trajectory, or the rollouts of a group as HTML of less than a megabyte.

    Nothing that was recorded acts in it: it has no script, link or image, and every text is
    escaped. `run`, from which it was read, adds what else is known: weights, siblings, commands.

    Raises:
        ConfigurationError: it is something else.
    """
    from rlvr.record import Trajectory
    from rlvr.runs import Run
    from rlvr.views.html import group_html, trajectory_html

    if isinstance(value, Run):
        return _run(value)
    info = run.info if run else None
    named = _named(run) if run else "RUN"
    if isinstance(value, Trajectory):
        siblings = _siblings(value, run) if run else ()
        return trajectory_html(value, info=info, siblings=siblings, run=named)
    if isinstance(value, list | tuple) and all(isinstance(one, Trajectory) for one in value):
        return group_html(value, info=info, run=named)
    raise ConfigurationError(
        f"a {type(value).__name__} has no page; give a run, a trajectory, or a group's rollouts."
    )


def register(shell: Any = None) -> None:
    """Let IPython show them so: the running one, or `shell`. Nothing is loaded until it does.

    Raises:
        MissingDependency: IPython is not installed.
        ConfigurationError: no IPython runs here.
    """
    shell = shell if shell is not None else _running_shell()
    formatter = shell.display_formatter.formatters["text/html"]
    for module, name in _SHOWN:
        formatter.for_type_by_name(module, name, to_html)


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext rlvr` calls."""
    register(shell)


def _running_shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError as error:
        raise MissingDependency(
            "IPython is not installed; rlvr.to_html(value) gives the HTML without it."
        ) from error
    shell = get_ipython()
    if shell is None:
        raise ConfigurationError("no notebook runs here; rlvr.to_html(value) gives the HTML.")
    return shell


def _run(run: "Run") -> str:
    from rlvr.analysis import SUMMARY_COLUMNS, summarise
    from rlvr.views.html import run_html
    from rlvr.views.terminal.status import state_line

    return run_html(
        summarise(run.to_arrow(SUMMARY_COLUMNS)),
        info=run.info,
        run=_named(run),
        state=state_line(run.status()),
        damaged=[str(problem) for problem in run.damaged],
    )


def _named(run: "Run") -> str:
    """How a command names the run: its URL, or its path, from here where it lies below."""
    if run.url is not None:
        return shlex.quote(run.url)
    path = run.path.absolute()
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _siblings(trajectory: "Trajectory", run: "Run") -> "list[Trajectory]":
    """The rollouts of its group in its own attempt, itself included."""
    found = run.trajectories(
        mode=trajectory.mode,
        step=trajectory.step,
        group=trajectory.group_id,
        superseded=True,
        tokens=False,
    )
    return [sibling for sibling in found if sibling.attempt == trajectory.attempt]
