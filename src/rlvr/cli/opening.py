"""Find the run that a person names: a folder, an id, or a bundled sample."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.cli.output import say
from rlvr.errors import ConfigurationError, RunNotFound

if TYPE_CHECKING:
    from rlvr.runs import Run

SAMPLES = ("upstream", "repaired")
MANY = 20_000
"""Rollouts from which on reading takes more than a moment, so that it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run, and how a command names it."""

    run: "Run"
    argument: str
    bundled: bool = False


def announce(opened: Opened, many: int | None = None) -> None:
    """Say that the run is being read, where it has more than `many` rollouts, MANY unless given."""
    recorded = opened.run.status().recorded
    if recorded > (MANY if many is None else many):
        say(f"rlvr: reading {recorded:,} rollouts of {opened.run.id}")


def open_named(named: str, *, foreign: bool = False) -> Opened:
    """The run in a folder or behind a URL, or that of an id (or its beginning) beneath this folder.

    With `foreign` a path without a run may hold what another tool recorded: it is imported into
    the cache of this user, which is said.

    Raises:
        RunNotFound: there is none.
        ConfigurationError: an id's beginning fits several runs.
    """
    from rlvr.remote import local_path
    from rlvr.runs import find_runs, open_run

    place = local_path(named)
    if place is None or place.exists():
        try:
            run = open_run(named)
        except RunNotFound as error:
            return _foreign(named, error, asked=foreign and place is not None)
        if not run.others:
            return Opened(run=run, argument=shlex.quote(named))
        older = ", ".join(map(shown_place, run.others[-3:]))
        say(f"rlvr: the newest of {len(run.others) + 1} runs at {named}; others: {older}")
        return Opened(run=run, argument=shlex.quote(shown_place(run.place)))
    fitting = [run for run in find_runs(Path()) if run.id.startswith(named)]
    if not fitting:
        raise RunNotFound(
            f"there is neither a folder {named!r} nor a run of that id beneath {Path().resolve()}; "
            "`rlvr list FOLDER` shows the runs of a folder."
        )
    if len(fitting) > 1:
        ids = ", ".join(run.id for run in fitting[:5])
        raise ConfigurationError(f"{named!r} fits {len(fitting)} runs ({ids}); name one of them.")
    return Opened(run=fitting[0], argument=shlex.quote(fitting[0].id))


def _foreign(named: str, error: RunNotFound, *, asked: bool) -> Opened:
    """The run that a foreign recording makes.

    Raises:
        RunNotFound: the error, where there is no such recording or none was asked for.
    """
    from rlvr.cli.foreign import open_foreign

    run = open_foreign(Path(named)) if asked else None
    if run is None:
        raise error
    return Opened(run=run, argument=shlex.quote(named))


def open_sample(name: str) -> Opened:
    """A run that is bundled with rlvr.

    Raises:
        ConfigurationError: there is no sample of that name.
        RunNotFound: this installation lacks the samples.
    """
    from rlvr.runs import find_runs

    if name not in SAMPLES:
        raise ConfigurationError(f"there is no sample {name!r}; the samples are {_either()}.")
    folder = sample_folder() / name
    runs = find_runs(folder) if folder.is_dir() else []
    if not runs:
        raise RunNotFound(
            f"this installation has no sample runs (nothing at {folder}); "
            "install rlvr from a release, or record one with `rlvr demo`."
        )
    return Opened(run=runs[0], argument=f"--sample {name}", bundled=True)


def shown_path(path: Path) -> str:
    """The path as a person types it: from here where it lies beneath, else whole."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def shown_place(place: str) -> str:
    """A run's place as a person types it: its URL, or its path as `shown_path` has it."""
    from rlvr.remote import is_url

    return place if is_url(place) else shown_path(Path(place))


def writable(opened: Opened, verb: str) -> "Run":
    """The run, where it is on this machine.

    Raises:
        ConfigurationError: it is behind a URL, where it can only be read.
    """
    if opened.run.url is not None:
        raise ConfigurationError(
            f"`rlvr {verb}` needs a run on this machine, and {opened.run.url} can only be read."
            " Name the folder that it is a mirror of; `rlvr mirror` brings the mirror up to that."
        )
    return opened.run


def sample_folder() -> Path:
    """Where the bundled runs lie."""
    from importlib.resources import files

    return Path(str(files("rlvr.demo") / "sample"))


def _either() -> str:
    return " and ".join(SAMPLES)
