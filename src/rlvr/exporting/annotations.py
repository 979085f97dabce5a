"""The annotations of every kind, read batch by batch beside the rollouts."""

from pathlib import Path
from urllib.parse import unquote

from rlvr.errors import DamagedFile
from rlvr.record import Annotation
from rlvr.runs.files import Damage, Origin, visible
from rlvr.runs.notes import Notes
from rlvr.store import ANNOTATIONS_FOLDER

_NAMELESS = "%"
"""The folder of the kind that is an empty text."""


class AllNotes:
    """What was learnt later of each record of a run. Asked in the order of the batches it reads
    each file about once, and holds those of one batch."""

    def __init__(self, folder: Path, origin: Origin | None = None) -> None:
        self._damage = Damage(origin)
        names = [path.name for path in visible(folder / ANNOTATIONS_FOLDER)]
        kinds = sorted("" if name == _NAMELESS else unquote(name) for name in names)
        self._by_kind = [Notes(folder, self._damage, kind) for kind in kinds]

    @property
    def damaged(self) -> tuple[DamagedFile, ...]:
        """The files that could not be read."""
        return self._damage.files

    def of(self, id: str) -> tuple[Annotation, ...]:
        """The newest of each kind, source and update, in that order."""
        return tuple(note for notes in self._by_kind for note in notes.of(id))
