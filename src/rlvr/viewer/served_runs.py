"""The runs that a viewer shows: one, or all below a folder."""

import shlex
import threading
import time
from collections import OrderedDict
from pathlib import Path

from rlvr.errors import RunNotFound
from rlvr.remote import is_url
from rlvr.runs import Run, find_runs
from rlvr.utils.places import marked_name
from rlvr.viewer.desk import Desk

_OPEN = 8
"""Runs that stay open with their indexes; the one that was asked longest ago is closed for more."""

ASIDE_FROM = 20_000
"""Rollouts from which on a run's long questions are worth a process of their own, which takes a
second to start."""

_LOOK_S = 5.0
"""A folder of runs is walked at most this often."""


class ServedRuns:
    """Runs by the name that URLs call them: their ids, marked from the second of an id on.

    The first of an id is also found by its marked name, which commands print: they can't know which
    one was met first.

    `aside_from` is that of their desks.
    """

    def __init__(self, root: str, *, only: Run | None = None, aside_from: int = ASIDE_FROM) -> None:
        self.root = root
        self._aside_from = aside_from
        self._only = only
        self._lock = threading.Lock()
        self._places: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        self._marked: dict[str, str] = {}
        self._looked = float("-inf")
        self._desks: OrderedDict[str, Desk] = OrderedDict()

    @property
    def single(self) -> str | None:
        """The name of the run, while it is the only one."""
        names = self.names()
        return names[0] if len(names) == 1 else None

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
            known = self._known(name)
            if known is None:
                self._looked = float("-inf")
                self._look()
                known = self._known(name)
            if known is None:
                raise RunNotFound(f"no run {name!r} at {self.root}; the list of runs has them all.")
            desk = self._desks.get(known) or self._opened(known)
            self._desks[known] = desk
            self._desks.move_to_end(known)
            while len(self._desks) > _OPEN:
                self._desks.popitem(last=False)
            desk.alike = {
                other: self._places[other] for other in self._names[desk.run.id] if other != known
            }
            return desk

    def _known(self, name: str) -> str | None:
        """The name under which the run of that name, or of that marked name, is kept."""
        return name if name in self._places else self._marked.get(name)

    def _opened(self, name: str) -> Desk:
        place = self._places[name]
        run = self._only or _at(place)
        return Desk(
            run,
            name=name,
            argument=shlex.quote(_typed(place)),
            others=self,
            aside_from=self._aside_from,
        )

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        runs = [self._only] if self._only is not None else find_runs(self.root)
        known = {place: name for name, place in self._places.items()}
        for run in runs:
            if run.place not in known:
                marked = marked_name(run.id, run.place)
                name = marked if run.id in self._names else run.id
                self._places[name] = run.place
                self._names.setdefault(run.id, []).append(name)
                self._marked[marked] = name
        self._looked = now


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
