"""A verdict in one or two sentences."""

from rlvr.diagnosis.finding import Outcome, Severity, Verdict
from rlvr.diagnosis.ledger import Fate, Ledger

_FEW = 0.5  # below this share sound, the sentence begins with "Only"


def headline(verdict: Verdict) -> tuple[str, ...]:
    """What a person should know who reads nothing else: the state, then what to look at first."""
    if not verdict.rollouts:
        return ("There is no training rollout to judge.",)
    return tuple(sentence for sentence in (_state(verdict), _next(verdict)) if sentence)


def _state(verdict: Verdict) -> str:
    ledger = verdict.ledger
    sound, unverified = ledger.count(Fate.SOUND), ledger.count(Fate.UNVERIFIED)
    if not sound and not unverified:
        return f"Nothing of what this run trained on is sound: {_none_sound(ledger)}."
    reached = _reached(ledger)
    if verdict.worst is Severity.ERROR:
        errors = _count(verdict, "error")
        if sound + unverified < _FEW * ledger.total:
            return f"Only {reached}{_rest(ledger)}; the run has {errors}."
        return f"{errors} to mend, though {reached}{_rest(ledger)}."
    warnings = _count(verdict, "warning")
    found = f"No error found, but {warnings}" if warnings else "No defect found"
    found += "" if mostly_judged(verdict) else " so far"
    return f"{found}: {reached}{_rest(ledger)}."


def _none_sound(ledger: Ledger) -> str:
    lost, corrupted = ledger.count(Fate.LOST), ledger.count(Fate.CORRUPTED)
    if not lost:
        return f"all {corrupted:,} rollouts reached the gradient wrong"
    if not corrupted:
        return f"none of {lost:,} rollouts gave a gradient"
    return (
        f"of {ledger.total:,} rollouts {lost:,} gave no gradient and {corrupted:,} reached it wrong"
    )


def _reached(ledger: Ledger) -> str:
    sound, unverified = ledger.count(Fate.SOUND), ledger.count(Fate.UNVERIFIED)
    if not sound:
        return (
            f"{_percent(unverified, ledger)} of {ledger.total:,} rollouts reached the gradient"
            " unverified, since their tokens were not recorded"
        )
    also = f", {_percent(unverified, ledger)} unverified" if unverified else ""
    return (
        f"{_percent(sound, ledger)} of {ledger.total:,} rollouts reached the gradient sound{also}"
    )


def _rest(ledger: Ledger) -> str:
    lost, corrupted = ledger.count(Fate.LOST), ledger.count(Fate.CORRUPTED)
    said = f", {_percent(lost, ledger)} gave none" if lost else ""
    return f"{said}, {_percent(corrupted, ledger)} reached it wrong" if corrupted else said


def _next(verdict: Verdict) -> str:
    codes = _codes(verdict, verdict.worst)
    if verdict.worst is Severity.ERROR:
        return f"Mend first: {', '.join(codes)}."
    if verdict.worst is Severity.WARNING:
        return f"Look at: {', '.join(codes)}."
    unknown, asked = _causes(verdict)
    if not unknown:
        return ""
    return f"{unknown} of {asked} causes could not be judged for want of evidence."


def mostly_judged(verdict: Verdict) -> bool:
    """Whether at least half of the causes could be judged."""
    unknown, asked = _causes(verdict)
    return 2 * unknown <= asked


def _causes(verdict: Verdict) -> tuple[int, int]:
    """How many causes are unknown, and how many were asked for."""
    outcomes: tuple[Outcome, ...] = (*verdict.findings, *verdict.healthy, *verdict.unknown)
    unknown = {outcome.code for outcome in verdict.unknown}
    return len(unknown), len({outcome.code for outcome in outcomes})


def _count(verdict: Verdict, severity: str) -> str:
    count = len(_codes(verdict, Severity(severity)))
    return f"{count} {severity}{'' if count == 1 else 's'}" if count else ""


def _codes(verdict: Verdict, severity: Severity | None) -> list[str]:
    return list(dict.fromkeys(f.code for f in verdict.findings if f.severity is severity))


def _percent(count: int, ledger: Ledger) -> str:
    """Rounded, but never to all or to none where it is not."""
    if 0 < count < 0.01 * ledger.total:
        return "under 1%"
    if 0.99 * ledger.total < count < ledger.total:
        return "over 99%"
    return f"{count / ledger.total:.0%}"
