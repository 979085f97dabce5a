"""A run's desk for a file: without secrets, without other pages to go to, and patient."""

from collections.abc import Mapping

from rlvr.errors import RunNotFound
from rlvr.redaction import Redactor
from rlvr.runs.shared import SharedRun
from rlvr.viewer.desk import Desk
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


def desk_for_file(desk: Desk, redactor: Redactor, within: Mapping[str, str]) -> Desk:
    """The same run as its file shows it; `within` has the anchor of each path that the file has."""
    made = Desk(
        SharedRun(desk.run, redactor), name=desk.name, argument=desk.argument, others=desk.others
    )
    made.places = Places(
        run=desk.name,
        offline=True,
        within={path: f"#{anchor}" for path, anchor in within.items()},
    )
    made.lock = desk.lock
    made.answers = desk.answers.patiently()
    return made
