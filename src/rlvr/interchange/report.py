"""What an import brought in, and what it could not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr.interchange.foreign import DamagedPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """A finished import.

    folder: of the run that was written. rollouts: recorded, by mode. components: with how many
    rollouts have each. absent: what the source does not hold, with the codes of the causes that
    stay unknown without it. partly: what only so many rollouts hold. damaged: lines, rows and files
    that were left out, the first of them in `first_damaged`. earlier: runs of the same source that
    lay in the output folder before. duration_s: wall-clock time. read_bytes: of the source.
    """

    source: Path
    format: str
    title: str
    files: int
    run: str
    folder: Path
    rollouts: Mapping[str, int]
    steps: int
    groups: int
    components: Mapping[str, int]
    absent: Mapping[str, Sequence[str]]
    inferred: tuple[str, ...]
    partly: Mapping[str, int]
    damaged: int
    first_damaged: tuple[DamagedPlace, ...]
    passed_over: tuple[str, ...]
    other_formats: tuple[str, ...]
    earlier: tuple[str, ...]
    read_bytes: int
    duration_s: float

    @property
    def total(self) -> int:
        """Rollouts of both modes."""
        return sum(self.rollouts.values())

    @property
    def unknown(self) -> tuple[str, ...]:
        """The codes of the causes that stay unknown, each once."""
        return tuple(dict.fromkeys(code for codes in self.absent.values() for code in codes))
