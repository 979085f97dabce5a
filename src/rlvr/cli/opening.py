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


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run, and how a command names it."""

    run: "Run"
    argument: str
    bundled: bool = False


def open_named(named: str, *, foreign: bool = False) -> Opened:
    """The run in a folder, or the run of that id (or its beginning) beneath this folder.

    With `foreign` a path without a run may hold what another tool recorded: it is imported into
    the cache of this user, which is said.

    Raises:
        RunNotFound: there is none.
        ConfigurationError: an id's beginning fits several runs.
    """
    from rlvr.runs import find_runs, open_run

    if Path(named).exists():
        try:
            run = open_run(named)
        except RunNotFound as error:
            return _foreign(named, error, asked=foreign)
        if not run.others:
            return Opened(run=run, argument=shlex.quote(named))
        older = ", ".join(shown_path(path) for path in run.others[-3:])
        say(f"rlvr: the newest of {len(run.others) + 1} runs at {named}; others: {older}")
        return Opened(run=run, argument=shlex.quote(shown_path(run.path)))
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


def sample_folder() -> Path:
    """Where the bundled runs lie."""
    from importlib.resources import files

    return Path(str(files("rlvr.demo") / "sample"))


def _either() -> str:
    return " and ".join(SAMPLES)
