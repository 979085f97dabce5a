"""What scoring recorded rollouts once more says of the rewards that a run was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rlvr.record.trajectory import Component

RESCORE = "rescore"
"""Kind of the annotations that say what a rollout gets when it is scored anew. Their source says
who scored: `rlvr rescore` names the thread, "main" or "worker". Each rollout that was scored gets
one, also where the reward is the same: its payload's `agrees` is true, false, or null where that
can't be told."""


class ScoringThread(StrEnum):
    """Where a scorer runs: in its process's main thread, or in another as a trainer has it."""

    MAIN = "main"
    WORKER = "worker"


class Pattern(StrEnum):
    """What the disagreements of a rescoring look like.

    AGREES: there is none. THREADS: the threads differ, and training has what the worker says.
    COVERED: the threads differ, and training has what the main thread says. MIXED: the threads
    differ, and training has what neither says. CHANGED: the threads agree, and training has other
    values. UNSTEADY: the same scorer gives another value each time. UNKNOWN: nothing could be
    compared.
    """

    AGREES = "agrees"
    THREADS = "threads"
    COVERED = "covered"
    MIXED = "mixed"
    CHANGED = "changed"
    UNSTEADY = "unsteady"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What one scoring made of one rollout.

    `reward` is the total as verifiers counts it, a failed component as 0.0; None where the rollout
    was not scored at all, and `failure` says why. `timed_out`: it was stopped at our limit.
    `missing` names, by component, what it asked the rollout's state for and no record holds.
    """

    components: tuple[Component, ...] = ()
    reward: float | None = None
    missing: Mapping[str, tuple[str, ...]] | None = None
    failure: str | None = None
    timed_out: bool = False

    def component(self, name: str) -> Component | None:
        """The component of that name, or None."""
        return next((component for component in self.components if component.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreColumn:
    """One component's values of one side: how many there are, their mean, and every status.

    `statuses` counts ok, error, timeout and not_applicable, and "not_in_record" for a component
    that asked for what a record does not hold. `mean` is None where there is no value.
    """

    values: int
    mean: float | None
    statuses: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sides held against each other, each "training", "main" or "worker".

    `same`, `differ` and `unknown` count rollouts.
    """

    first: str
    second: str
    same: int
    differ: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One component, or the total, on all sides. `weight` is None for the total or if unknown."""

    name: str
    weight: float | None
    columns: Mapping[str, ScoreColumn]
    pairs: tuple[Pair, ...]

    def pair(self, first: str, second: str) -> Pair | None:
        """The pair of those two sides, or None where one was not asked."""
        return next((p for p in self.pairs if (p.first, p.second) == (first, second)), None)

    @property
    def differ(self) -> int:
        """Rollouts that differ in the pair that differs most."""
        return max((pair.differ for pair in self.pairs), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreExample:
    """One rollout on which sides differ: in `name`, a component or the total, by `values`.

    `errors` has the message of each side whose scorer failed.
    """

    id: str
    step: int
    name: str
    values: Mapping[str, float | None]
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is not what it was when the run was recorded; None: it was or is absent."""

    name: str
    was: str | None
    now: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreReport:
    """Recorded rollouts, scored anew.

    selected: rollouts asked for. of: how many of that mode and those steps there are. scored: how
    many got a score of at least one thread. skipped: by reason, those that could not be asked.
    trained_in: the thread that scored in training, None if not recorded. repaired: whether the
    trainer had the repair of math_verify's time limits, which is never applied here.
    unsteady: components that gave another value the second time, of `repeated` rollouts.
    failures: the commonest messages by component. written: annotations stored, None if none were
    meant to be.
    """

    run: str
    loader: str
    mode: str
    steps: tuple[int, int]
    threads: tuple[str, ...]
    selected: int
    of: int
    scored: int
    skipped: Mapping[str, int]
    trained_in: str | None
    repaired: bool
    total: ScoreRow
    components: tuple[ScoreRow, ...]
    pattern: Pattern
    headline: str
    remedy: str
    examples: tuple[RescoreExample, ...]
    packages: tuple[Change, ...]
    scorers: tuple[Change, ...]
    repeated: int
    unsteady: tuple[str, ...]
    failures: tuple[tuple[str, int], ...]
    missing: Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...]
    written: int | None
    duration_s: float

    @property
    def rows(self) -> tuple[ScoreRow, ...]:
        """The total, then every component."""
        return (self.total, *self.components)

    @property
    def disagrees(self) -> bool:
        """Whether two sides differ anywhere, or a scorer differs from itself."""
        return bool(self.unsteady) or any(row.differ for row in self.rows)

    @property
    def compared(self) -> bool:
        """Whether anything could be compared."""
        return any(pair.same or pair.differ for row in self.rows for pair in row.pairs)
