"""What every format is given, and what it says of itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rlvr.record import Annotation, Attempt, RunInfo, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One rollout, and what was learnt of it later."""

    trajectory: Trajectory
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The run that the rollouts are from. `info` is None where it was killed before it was said."""

    run: str
    info: RunInfo | None = None
    attempts: tuple[Attempt, ...] = ()


class Format(Protocol):
    """One format to write. A format holds no state: each `write` begins anew."""

    @property
    def name(self) -> str:
        """How `--to` calls it."""
        ...

    @property
    def title(self) -> str:
        """How people call it."""
        ...

    @property
    def lacks(self) -> tuple[str, ...]:
        """What of a rollout it can't hold, in words."""
        ...

    @property
    def files(self) -> str | None:
        """None where it is one file; else a pattern that every file of its folder matches whole."""
        ...

    @property
    def one_mode(self) -> bool:
        """Whether it can't say which rollouts are of an evaluation, so that it holds one mode."""
        ...

    @property
    def shared(self) -> bool:
        """Whether it is for other tools and people, so that secrets are replaced unless asked."""
        ...

    def read_back(self, output: str) -> str:
        """A command or line of Python that reads it, `output` quoted for a shell."""
        ...

    def write(self, rollouts: Iterator[Exported], out: Path, about: About) -> None:
        """Write all of them, in bounded memory, into the new file or the empty folder `out`.

        Raises:
            OSError: the disk refused.
        """
        ...
