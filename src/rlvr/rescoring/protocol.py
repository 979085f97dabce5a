"""What the process that scores and the one that asks it say to each other, pickled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlvr.record import Json
from rlvr.record.rescore import ScoringThread


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The first request: which scorer to load, and where to run it.

    `given` names the options that a person gave; the others are those of the recorded run. `unique`
    is that of `recording_rubric`. `packages` are those whose version is asked.
    """

    loader: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    thread: ScoringThread = ScoringThread.MAIN
    unique: bool = True
    tools: tuple[Mapping[str, Json], ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Its answer: the scorer is loaded. `scorers` has what `scorer_sources` says of it."""

    weights: Mapping[str, float]
    scorers: Mapping[str, str]
    packages: Mapping[str, str | None]
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Its answer where the scorer can't be loaded; `error` names one of `rlvr.errors`."""

    error: str
    text: str
