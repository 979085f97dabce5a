"""Finding runs behind a URL, and opening them through a cache of this user."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rlvr.errors import RunNotFound
from rlvr.remote import MOST_BYTES, ObjectState, RemoteFolder, Replica
from rlvr.runs.run import Run
from rlvr.store import ATTEMPTS_FOLDER, RUN_FILE
from rlvr.utils.caches import cache_folder


def remote_runs(url: str, *, cache: Path | None = None, cache_bytes: int = MOST_BYTES) -> list[Run]:
    """Every run at or below a URL, oldest first.

    Args:
        url: any that fsspec opens.
        cache: the folder that fetched files go to; one in this user's caches.
        cache_bytes: what all fetched files take there, about.

    Raises:
        ConfigurationError, MissingDependency: no such URL can be opened here.
        RemoteUnavailable: the place can't be reached, or refuses.
        NewerFormat: one of the runs was written by a newer rlvr.
    """
    base = RemoteFolder(url)
    objects = base.list()
    runs = []
    for folder in _run_folders(objects):
        remote = base.child(folder) if folder else base
        own = {
            name.removeprefix(f"{folder}/"): state
            for name, state in objects.items()
            if not folder or name.startswith(f"{folder}/")
        }
        replica = Replica(
            remote, cache or cache_folder() / "remote", objects=own, most_bytes=cache_bytes
        )
        runs.append(Run(replica.folder, replica=replica))
    return sorted(runs, key=lambda run: (run.started_at, run.id))


def open_remote(url: str, *, cache: Path | None = None, cache_bytes: int = MOST_BYTES) -> Run:
    """The run at a URL, or the one below it that was started last.

    Raises:
        RunNotFound: there is none.
        ConfigurationError, MissingDependency, RemoteUnavailable, NewerFormat: as `remote_runs`.
    """
    runs = remote_runs(url, cache=cache, cache_bytes=cache_bytes)
    if not runs:
        raise RunNotFound(
            f"no recorded run at or below {RemoteFolder(url).shown}. Name the folder that has"
            f" {RUN_FILE}, or one above it; `rlvr mirror RUN URL` copies a run to a URL."
        )
    runs[-1].others = tuple(run.place for run in runs[:-1])
    return runs[-1]


def _run_folders(objects: Mapping[str, ObjectState]) -> Iterable[str]:
    """The folders that have both a run's file and its attempts."""
    attempts = {
        name.rpartition(f"{ATTEMPTS_FOLDER}/")[0].rstrip("/")
        for name in objects
        if f"/{name}".rpartition("/")[0].endswith(f"/{ATTEMPTS_FOLDER}")
    }
    infos = {name.rpartition("/")[0] for name in objects if f"/{name}".endswith(f"/{RUN_FILE}")}
    return sorted(attempts & infos)
