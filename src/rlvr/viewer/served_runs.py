"""The runs that a viewer shows: one, or all below a folder."""

import shlex
import threading
import time
from collections import OrderedDict
from pathlib import Path

from rlvr.errors import RunNotFound
from rlvr.remote import is_url
from rlvr.runs import Run, find_runs
from rlvr.viewer.desk import Desk

_OPEN = 8
"""Runs that stay open with their indexes; the one that was asked longest ago is closed for more."""

_LOOK_S = 5.0
"""A folder of runs is walked at most this often."""


class ServedRuns:
    """Runs by the name that URLs call them: their ids, numbered where two are alike."""

    def __init__(self, root: str, *, only: Run | None = None) -> None:
        self.root = root
        self._only = only
        self._lock = threading.Lock()
        self._places: dict[str, str] = {}
        self._looked = float("-inf")
        self._desks: OrderedDict[str, Desk] = OrderedDict()

    @property
    def single(self) -> str | None:
        """The name of the run, where one alone is shown."""
        return None if self._only is None else self._only.id

    def names(self) -> list[str]:
        """The names of all runs, oldest first."""
        with self._lock:
            self._look()
            return list(self._places)

    def desk(self, name: str) -> Desk:
        """The run of that name.

        Raises:
            RunNotFound: there is none.
            NewerFormat: it was written by a newer rlvr.
        """
        with self._lock:
            if name in self._desks:
                self._desks.move_to_end(name)
                return self._desks[name]
            if name not in self._places:
                self._looked = float("-inf")
            self._look()
            if name not in self._places:
                raise RunNotFound(f"no run {name!r} at {self.root}; the list of runs has them all.")
            place = self._places[name]
            run = self._only or _at(place)
            desk = Desk(run, name=name, argument=shlex.quote(_typed(place)), others=self)
            self._desks[name] = desk
            while len(self._desks) > _OPEN:
                self._desks.popitem(last=False)
            return desk

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        runs = [self._only] if self._only is not None else find_runs(self.root)
        known = {place: name for name, place in self._places.items()}
        for run in runs:
            if run.place not in known:
                name = _free(run.id, self._places)
                self._places[name] = run.place
        self._looked = now


def _free(id: str, taken: dict[str, str]) -> str:
    """The id, or the id with the first number that makes it another one."""
    if id not in taken:
        return id
    return next(
        name for name in (f"{id}~{at}" for at in range(2, len(taken) + 3)) if name not in taken
    )


def _at(place: str) -> Run:
    if is_url(place):
        return find_runs(place)[0]
    return Run(Path(place))


def _typed(place: str) -> str:
    """The place as a person types it: from here where it lies beneath."""
    if is_url(place):
        return place
    path = Path(place).absolute()
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
