"""A run's desk for a file: without secrets, without other pages to go to, and patient."""

from collections.abc import Mapping
from dataclasses import replace

from rlvr.errors import RunNotFound
from rlvr.redaction import Redactor
from rlvr.runs.shared import SharedRun
from rlvr.viewer.desk import Desk, Others
from rlvr.viewer.verdicts import Judging
from rlvr.views.web import Places


class Beside:
    """The one run that a file's run is set beside, or none."""

    def __init__(self, other: Desk | None = None) -> None:
        self._other = other

    def names(self) -> list[str]:
        """Its name."""
        return [] if self._other is None else [self._other.name]

    def desk(self, name: str) -> Desk:
        """The run of that name.

        Raises:
            RunNotFound: it is another.
        """
        if self._other is None or name != self._other.name:
            raise RunNotFound(f"{name!r} is not beside this run.")
        return self._other


class _Shared:
    """The runs beside one, without secrets either."""

    def __init__(self, others: Others, redactor: Redactor) -> None:
        self._others, self._redactor = others, redactor

    def names(self) -> list[str]:
        """Their names."""
        return self._others.names()

    def desk(self, name: str) -> Desk:
        """The run of that name.

        Raises:
            RunNotFound: there is none.
        """
        return desk_for_file(self._others.desk(name), self._redactor)


def desk_for_file(desk: Desk, redactor: Redactor) -> Desk:
    """The same run as its file shows it.

    Its answers are its own: those of the viewer are made from what was recorded, and a sentence
    that was cut in the middle of a secret shows half of it.
    """
    made = Desk(
        SharedRun(desk.run, redactor),
        name=desk.name,
        argument=desk.argument,
        others=_Shared(desk.others, redactor),
    )
    made.places = Places(run=desk.name, offline=True)
    made.lock = desk.lock
    made.answers = made.answers.patiently()
    return made


def linked(desk: Desk, within: Mapping[str, str]) -> Desk:
    """It, with links into the file: `within` has the anchor of each path that the file has."""
    desk.places = replace(
        desk.places, within={path: f"#{anchor}" for path, anchor in within.items()}
    )
    return desk


def judging_for_file(judging: Judging | None, redactor: Redactor) -> Judging:
    """The same judging, of a run beside it as its file shows it."""
    judging = judging or Judging()
    beside = judging.beside
    return judging if beside is None else replace(judging, beside=desk_for_file(beside, redactor))
