"""Finding recorded runs below a path."""

import os
from pathlib import Path

from rlvr.errors import RunNotFound
from rlvr.remote import local_path
from rlvr.runs.behind import open_remote, remote_runs
from rlvr.runs.run import Run
from rlvr.store import ATTEMPTS_FOLDER, RUN_FILE, RUNS_FOLDER


def open_run(path: str | Path) -> Run:
    """The run at a path: its folder, anything inside it, or a folder with runs below it.

    The path may be a URL, too, of a run's folder or of one above it (docs/remote.md). Of several
    runs below a folder it is the one that was started last; `Run.others` names the rest.

    Raises:
        RunNotFound: there is none.
        NewerFormat: it was written by a newer rlvr.
        ConfigurationError, MissingDependency, RemoteUnavailable: the URL can't be opened.
    """
    local = local_path(path)
    if local is None:
        return open_remote(str(path))
    path = local.absolute()
    for folder in (path, *path.parents):
        if _is_run(folder):
            return Run(folder)
    runs = find_runs(path)
    if not runs:
        raise RunNotFound(_not_found(path))
    newest = runs[-1]
    return Run(newest.path, others=tuple(run.place for run in runs[:-1]))


def find_runs(path: str | Path) -> list[Run]:
    """Every run at or below a path or URL, oldest first.

    Raises:
        NewerFormat: one of them was written by a newer rlvr.
        ConfigurationError, MissingDependency, RemoteUnavailable: the URL can't be opened.
    """
    local = local_path(path)
    if local is None:
        return remote_runs(str(path))
    runs = [Run(folder) for folder in run_folders(local)]
    return sorted(runs, key=lambda run: (run.started_at, run.id))


def run_folders(path: Path) -> list[Path]:
    """The folder of every run at or below a path, by name; none is opened."""
    found = []
    for root, folders, _ in os.walk(path):
        folder = Path(root)
        if _is_run(folder):
            found.append(folder)
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
    return sorted(found)


def _is_run(folder: Path) -> bool:
    """A run has run.json; one that was killed before it wrote that has claimed an attempt."""
    if folder.parent.name == RUNS_FOLDER and (folder / ATTEMPTS_FOLDER).is_dir():
        return True
    return (folder / RUN_FILE).is_file() and (folder / ATTEMPTS_FOLDER).is_dir()


def _not_found(path: Path) -> str:
    if not path.exists():
        return f"{path} does not exist. Name the output folder of a recorded training run."
    return (
        f"no recorded run at or below {path}. A recording lies in OUTPUT_DIR/{RUNS_FOLDER}/RUN_ID; "
        "name that folder or the output folder of the training run."
    )
