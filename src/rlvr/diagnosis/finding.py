"""What a diagnosis says: findings, what is healthy, and what is unknown and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rlvr.diagnosis.ledger import Ledger
from rlvr.parity import Parity


class Severity(StrEnum):
    """How bad a finding is.

    error: the run can't learn what it should until this is mended, or trains on something else
    than was sampled. warning: it costs signal, or is likely to. note: worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One measured number of a finding. `unit` is "", "rollouts", "nats", "tokens", "share", ...

    A "share" is between 0 and 1 and is shown in percent.
    """

    name: str
    value: float | int | None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A small plot: one or several series of (x, y) over steps, or over turns.

    y that is not finite leaves a gap. `y_range` is None where the values decide.
    """

    title: str
    series: Mapping[str, Sequence[tuple[int, float]]]
    x_label: str = "step"
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A trajectory that shows a finding, and the place in it.

    `turn` counts assistant turns from 0; `token` is a place in training sequence `sequence`, both
    from 0. None: the whole of it.
    """

    id: str
    why: str
    turn: int | None = None
    token: int | None = None
    sequence: int = 0

    @property
    def place(self) -> tuple[str, ...]:
        """The options of `rlvr show RUN ID` that open it there."""
        options: list[str] = []
        if self.turn is not None:
            options += ["--turn", str(self.turn)]
        if self.token is not None:
            at = str(self.token) if self.sequence == 0 else f"{self.sequence}:{self.token}"
            options += ["--token", at]
        return tuple(options)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAlike:
    """Something else that could look like a finding, and what tells the two apart."""

    what: str
    told_apart_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause, or one loss of signal, with its evidence.

    `lost` and `corrupted` count rollouts of training whose signal never reached the gradient, or
    reached it wrong, because of this; findings overlap, so they do not add up (the ledger does).
    `rollouts` is what they are counted among. `refuted_by` is a check that could show it wrong;
    `remedy` is what to do. `since_step` is the first step that shows it, None if not dated.
    `gap_share` is the part of the gap between training and evaluation that it accounts for, None
    where it was not measured.
    """

    code: str
    severity: Severity
    sentence: str
    rollouts: int
    lost: int = 0
    corrupted: int = 0
    numbers: tuple[Number, ...] = ()
    plot: Plot | None = None
    examples: tuple[Example, ...] = ()
    lookalikes: tuple[LookAlike, ...] = ()
    refuted_by: str = ""
    remedy: str = ""
    since_step: int | None = None
    gap_share: float | None = None

    @property
    def signal(self) -> float:
        """Share of the rollouts whose signal it lost or corrupted, from 0 to 1."""
        return (self.lost + self.corrupted) / self.rollouts if self.rollouts else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """A cause that the record rules out. `sentence` says by which numbers."""

    code: str
    sentence: str
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A cause that the record can't judge. `because` says why, `needs` what evidence would."""

    code: str
    because: str
    needs: str = ""


Outcome = Finding | Healthy | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All that a diagnosis says of a run.

    `findings` stand by severity, then by the share of signal that they lost or corrupted, or of the
    gap to an evaluation that they account for; at equal shares causes stand before symptoms.
    `where` is the filter that took the rollouts, None for all; `parity` is the training beside an
    evaluation, None without one.
    """

    run: str
    rollouts: int
    steps: tuple[int, ...]
    ledger: Ledger
    findings: tuple[Finding, ...] = ()
    healthy: tuple[Healthy, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    where: str | None = None
    parity: Parity | None = None

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding, None without one."""
        return min((f.severity for f in self.findings), key=lambda s: s.rank, default=None)

    def finding(self, code: str) -> Finding | None:
        """The finding of that code, or None."""
        return next((finding for finding in self.findings if finding.code == code), None)
