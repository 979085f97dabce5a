"""What a preflight says of a training that has not begun."""

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """Whether a check found its fault, found none, or could not tell."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its answer.

    `sentence` holds the numbers, `remedy` what to do where it failed. `code` names the finding that
    `rlvr diagnose` would make of the same fault in a recorded run, "" where there is none.
    """

    name: str
    status: CheckStatus
    sentence: str
    remedy: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightReport:
    """Every check of a trainer, causes before their effects.

    `rollouts` were sampled for it and thrown away; `duration_s` is wall-clock time.
    """

    trainer: str
    repairs: tuple[str, ...]
    inference: str
    rollouts: int
    duration_s: float
    checks: tuple[Check, ...]

    def having(self, status: CheckStatus) -> tuple[Check, ...]:
        """The checks of that status, in order."""
        return tuple(check for check in self.checks if check.status is status)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that found their fault."""
        return self.having(CheckStatus.FAIL)

    @property
    def first_to_mend(self) -> Check | None:
        """The failed check that stands before all others: later ones may be its effects."""
        return next(iter(self.failed), None)

    def check(self, name: str) -> Check:
        """The check of that name.

        Raises:
            KeyError: there is none.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)
