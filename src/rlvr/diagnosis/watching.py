"""A diagnosis that is made again and again: what came, what became worse, and what went away."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rlvr.diagnosis.finding import Finding, Severity, Verdict


class Turn(StrEnum):
    """What happened to a cause between two looks."""

    CAME = "came"
    CHANGED = "changed"
    WENT = "went"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A cause that came, changed its severity, or went away.

    `step` is the newest step that the record held when this was seen, `since_step` the first step
    that shows it, None where the finding is not dated. `severity` is that of now; of a cause that
    went, its last.
    """

    turn: Turn
    code: str
    severity: Severity
    step: int
    since_step: int | None
    sentence: str

    @property
    def text(self) -> str:
        """One line for people."""
        dated = self.since_step is not None and self.turn is not Turn.WENT
        since = f"since step {self.since_step}, " if dated else ""
        if self.turn is Turn.WENT:
            return f"step {self.step}: {self.code} ({self.severity}) is gone"
        now = "" if self.turn is Turn.CAME else "now "
        return f"{since}seen at {self.step}: {now}{self.severity} {self.code}: {self.sentence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found so far: the worst finding of each code, and the step of its detection."""

    findings: Mapping[str, Finding] = field(default_factory=dict)
    detected: Mapping[str, int] = field(default_factory=dict)

    def after(self, verdict: Verdict) -> "tuple[Seen, tuple[Change, ...]]":
        """What is known with a newer verdict that holds rollouts, and what changed by it."""
        now: dict[str, Finding] = {}
        for finding in verdict.findings:  # the worst of a code stands first
            now.setdefault(finding.code, finding)
        step = verdict.steps[-1]
        detected = {code: self.detected.get(code, step) for code in now}
        return Seen(findings=now, detected=detected), tuple(self._changes(now, step))

    def _changes(self, now: Mapping[str, Finding], step: int) -> Iterator[Change]:
        for code, finding in now.items():
            before = self.findings.get(code)
            if before is None:
                yield _change(Turn.CAME, finding, step)
            elif before.severity is not finding.severity:
                yield _change(Turn.CHANGED, finding, step)
        for code, finding in self.findings.items():
            if code not in now:
                yield _change(Turn.WENT, finding, step)


def _change(turn: Turn, finding: Finding, step: int) -> Change:
    return Change(
        turn=turn,
        code=finding.code,
        severity=finding.severity,
        step=step,
        since_step=finding.since_step,
        sentence=finding.sentence,
    )
