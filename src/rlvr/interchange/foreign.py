"""What every reader of a foreign format is given, and what it gives."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from rlvr.errors import RlvrError
from rlvr.record import Json, Mode, Trajectory

SHOWN_DAMAGES = 5
"""How many damaged places a report shows; the others are counted."""


class UnusableRow(RlvrError, ValueError):
    """A row that is no rollout; the message says why."""


UNUSABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What a row of the wrong types or depth makes a reader raise."""


class GroupBy(StrEnum):
    """How groups are made where the source names none, or is not to be believed.

    AUTO: the source's own ids, else equal prompts of a step. PROMPT: equal prompts of a step.
    EXAMPLE: equal example ids of a step.
    """

    AUTO = "auto"
    PROMPT = "prompt"
    EXAMPLE = "example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person says about a source.

    mapping: path of each field in a row of JSONL, dotted. mode: that of rows of which the source
    does not say it. weights: weight of each component, from which totals are computed.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    mode: Mode | None = None
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedPlace:
    """A line, row or file that holds no rollout that can be read. `place` counts from 1."""

    file: str
    place: int | None
    why: str

    @property
    def text(self) -> str:
        """One line for people."""
        where = self.file if self.place is None else f"{self.file}:{self.place}"
        return f"{where}: {self.why}"


@dataclass(slots=True, kw_only=True)
class Reading:
    """How far a reading is: bytes read, and what was damaged.

    `on_progress` hears of every step; `first` has the first damages, `damaged` counts all.
    """

    on_progress: Callable[[int], None] = lambda _: None
    read_bytes: int = 0
    damaged: int = 0
    first: list[DamagedPlace] = field(default_factory=list)

    def advance(self, size: int) -> None:
        """Note that so many bytes of the source are done."""
        self.read_bytes += size
        self.on_progress(self.read_bytes)

    def damage(self, file: Path, place: int | None, why: object) -> None:
        """Count a line, row or file that is left out."""
        self.damaged += 1
        if len(self.first) < SHOWN_DAMAGES:
            self.first.append(DamagedPlace(file=str(file), place=place, why=_short(why)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a source says of its run as a whole; everything else is not known.

    absent: what it lacks that no rollout could show, with the codes of the causes that can't be
    judged without it. inferred: sentences on what is concluded rather than read. passed_over:
    files beside it that are not read, with the reason.
    """

    name: str | None = None
    model: str | None = None
    dataset: str | None = None
    sampling: Mapping[str, Json] = field(default_factory=dict)
    limits: Mapping[str, Json] = field(default_factory=dict)
    config: Mapping[str, Json] = field(default_factory=dict)
    tools: tuple[Mapping[str, Json], ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    num_generations: int | None = None
    created_at: float | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inferred: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A path and the files there that are of one format, in order."""

    path: Path
    files: tuple[Path, ...]


class Format(Protocol):
    """One foreign format, read as some `Options` say.

    A reader gives rollouts with the source's own step and group;
    `Trajectory.run`, `batch`, `attempt` and `sample` are the importer's to set. An empty
    `group_id` means that the source names no group; what a rollout does not say is None.
    """

    @property
    def name(self) -> str:
        """How `--format` calls it."""
        ...

    @property
    def title(self) -> str:
        """How people call it."""
        ...

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files of this format at a path, in order; none where it is another format."""
        ...

    def describe(self, source: Source) -> Described:
        """What the source says of the whole run."""
        ...

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """Every rollout, in the order of the files; damages are noted and left out."""
        ...


def _short(why: object) -> str:
    text = str(why) or type(why).__name__
    return text if len(text) <= 300 else text[:299] + "…"
