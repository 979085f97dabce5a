"""One run as the viewer has it open."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from rlvr.runs import Run
from rlvr.viewer.answers import PATIENCE_S, Answer, Answers
from rlvr.viewer.aside import ask_aside
from rlvr.views.web import Crumb, Places

Value = TypeVar("Value")

_REMOTE_LOOK_S = 30.0
"""A run behind a URL is looked at anew this often."""


class Others(Protocol):
    """The runs that are served beside one."""

    def names(self) -> list[str]:
        """The names of all runs, oldest first."""

    def desk(self, name: str) -> "Desk":
        """The run of that name.

        Raises:
            RunNotFound: there is none.
        """


class Desk:
    """A run, the name by which URLs call it and the `argument` by which commands do.

    Its index takes one question at a time: hold `lock` for it. What takes long and filters asks
    `run.reopened()`, whose index is its own, so that no page waits for it. `alike` has the places
    of the other runs of the same id by their names.

    Questions of the whole run are answered in a process of their own, one at a time, where the run
    has `aside_from` rollouts or more; here where it has less, or where that is None.
    """

    def __init__(
        self, run: Run, *, name: str, argument: str, others: Others, aside_from: int | None = None
    ) -> None:
        self.run = run
        self.others = others
        self.name = name
        self.argument = argument
        self.places = Places(run=name)
        self.lock = threading.RLock()
        self.answers = Answers()
        self.alike: Mapping[str, str] = {}
        self._aside_from = aside_from
        self._one_aside = threading.Lock()

    @property
    def crumbs(self) -> tuple[Crumb, Crumb]:
        """The way to its page, with which that to every page below begins."""
        return Crumb("runs", url="/"), Crumb(self.name, url=self.places.of_run())

    def whole(
        self,
        name: str,
        question: Callable[..., Value],
        *arguments: object,
        beside: "Desk | None" = None,
        patience_s: float = PATIENCE_S,
    ) -> Answer[Value]:
        """What a question of `rlvr.viewer.whole_run` gives of the run and the arguments, kept under
        the name; of this run and of that of the desk `beside`, which follows it then.

        Raises:
            AnswerLost: its process was ended.
            Exception: what the question raised.
        """
        version, runs = self.version(), [self.run]
        if beside is not None:
            version, runs = f"{version} {beside.version()}", [self.run, beside.run]

        def answer() -> Value:
            least = self._aside_from
            if least is None or all(run.known_rollouts < least for run in runs):
                return question(*runs, *arguments)
            with self._one_aside:
                return ask_aside(question, *runs, *arguments)

        return self.answers.of(name, version, answer, patience_s=patience_s)

    def version(self) -> str:
        """What tells two states of the run's files apart; looks at its folders, reads no file."""
        if self.run.url is not None:
            return f"{self.run.url} {time.monotonic() // _REMOTE_LOOK_S}"
        known = hashlib.sha256()
        for path, stat in sorted(_stats(self.run.path)):
            known.update(f"{path} {stat.st_mtime_ns} {stat.st_ino} {stat.st_size}\n".encode())
        return known.hexdigest()[:16]


def _stats(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every folder of a run, whose time changes with each file that comes or goes, and what is
    rewritten in place: the counts of its processes."""
    pending = [str(folder)]
    while pending:
        place = pending.pop()
        try:
            yield place, Path(place).stat()
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif not place.endswith(("L0", "L1", "metrics", "blobs")):
                        yield entry.path, entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
