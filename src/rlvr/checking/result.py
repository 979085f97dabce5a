"""What a check of a run says."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """The answer of one check. `unknown`: there was nothing that it could look at."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is wrong: why, and the id of the record or group, or else the place."""

    where: str
    why: str
    is_id: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCheck:
    """One question about a run and its answer.

    examined: how many of `unit` were looked at. wrong: how many of them are wrong, of which
    `examples` has the first. because: why it could not be checked, where it is unknown. notes: what
    explains the answer, or limits it. remedy: what to do where something is wrong.
    """

    name: str
    question: str
    unit: str
    mark: Mark
    examined: int
    wrong: int
    examples: tuple[Wrong, ...] = ()
    because: str | None = None
    notes: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundnessReport:
    """All checks of a run. `migrations` maps the name of each that applies to its files."""

    run: str
    rollouts: int
    files: int
    bytes: int
    duration_s: float
    checks: tuple[RunCheck, ...]
    migrations: Mapping[str, int]

    def having(self, mark: Mark) -> tuple[RunCheck, ...]:
        """The checks with that answer."""
        return tuple(check for check in self.checks if check.mark is mark)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong. What could not be checked is not wrong."""
        return not self.having(Mark.WRONG)

    def check(self, name: str) -> RunCheck:
        """The check of that name.

        Raises:
            KeyError: there is none.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)
