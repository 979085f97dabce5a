"""From evidence to verdict."""

from collections.abc import Callable, Iterable

from rlvr.diagnosis.detectors import (
    advantages,
    blow_up,
    components,
    conflicts,
    context,
    divergence,
    diversity,
    evaluation,
    gap,
    groups,
    hacking,
    history,
    lengths,
    malformed,
    mask,
    paid_calls,
    prompts,
    scoring,
    silence,
    small_updates,
    staleness,
    sync,
    tokens,
    tool_use,
    tools,
    truncation,
    turns,
    unparsed,
    unread,
    void_turns,
)
from rlvr.diagnosis.detectors.wording import counted, listed
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.finding import Finding, Healthy, Outcome, Unknown, Verdict

Detector = Callable[[RunEvidence], Iterable[Outcome]]

DETECTORS: tuple[Detector, ...] = (
    context.detect,
    tokens.detect,
    mask.detect,
    sync.detect,
    history.detect,
    gap.detect,
    staleness.detect,
    small_updates.detect,
    advantages.detect,
    blow_up.detect,
    groups.detect,
    scoring.detect,
    silence.detect,
    unread.detect,
    components.detect,
    conflicts.detect,
    hacking.detect,
    paid_calls.detect,
    prompts.detect,
    divergence.detect,
    truncation.detect,
    unparsed.detect,
    malformed.detect,
    tools.detect,
    turns.detect,
    tool_use.detect,
    void_turns.detect,
    diversity.detect,
    lengths.detect,
    evaluation.detect,
)
"""Every detector, in the order in which what is healthy and unknown is listed."""

CODES: tuple[str, ...] = (
    context.CODE,
    tokens.CODE,
    mask.CODE,
    sync.CODE,
    history.CODE,
    gap.CODE,
    staleness.CODE,
    small_updates.CODE,
    advantages.CODE,
    blow_up.CODE,
    groups.CODE,
    *scoring.CODES,
    silence.CODE,
    unread.CODE,
    *components.CODES,
    conflicts.CODE,
    hacking.CODE,
    paid_calls.CODE,
    prompts.CODE,
    divergence.CODE,
    truncation.CODE,
    unparsed.CODE,
    malformed.CODE,
    tools.CODE,
    turns.CODE,
    tool_use.CODE,
    void_turns.CODE,
    diversity.CODE,
    lengths.CODE,
    *evaluation.CODES,
)
"""Every code that a verdict can hold; each has a page in docs/findings."""

_SYMPTOMS = frozenset(
    {
        gap.CODE,
        groups.CODE,
        conflicts.CODE,
        hacking.CODE,
        lengths.CODE,
        tool_use.CODE,
        evaluation.CODE,
        *components.CODES,
    }
)
"""Codes that say what the signal looks like; at equal signal a cause stands before them."""


NEEDS_WHOLE_GROUPS = frozenset(
    {
        advantages.CODE,
        blow_up.CODE,
        groups.CODE,
        conflicts.CODE,
        hacking.CODE,
        paid_calls.CODE,
        prompts.CODE,
        *components.CODES,
    }
)
"""Codes that compare the rollouts of a group, or the groups of a batch, with each other: of groups
that a filter cut they can't be judged."""


def diagnose(evidence: RunEvidence) -> Verdict:
    """Everything that the detectors say of a run, the worst first."""
    outcomes: list[Outcome] = []
    if len(evidence.rollouts):
        outcomes = [outcome for detect in DETECTORS for outcome in detect(evidence)]
        outcomes = _without_the_absent(outcomes, evidence)
        outcomes = _without_the_cut(outcomes, evidence)
    findings = [outcome for outcome in outcomes if isinstance(outcome, Finding)]
    return Verdict(
        run=evidence.run,
        rollouts=len(evidence.rollouts),
        steps=tuple(int(step) for step in evidence.rollouts.steps),
        ledger=evidence.ledger,
        findings=tuple(sorted(findings, key=_rank)),
        healthy=tuple(outcome for outcome in outcomes if isinstance(outcome, Healthy)),
        unknown=tuple(outcome for outcome in outcomes if isinstance(outcome, Unknown)),
        remarks=evidence.remarks,
        where=evidence.where,
        parity=evidence.parity,
    )


def _without_the_absent(outcomes: list[Outcome], evidence: RunEvidence) -> list[Outcome]:
    """The outcomes, one unknown instead of those that need what an imported run does not hold.

    A finding stays: what was found was proven without it.
    """
    lacking: dict[str, list[str]] = {}
    for what, codes in (evidence.info.absent if evidence.info else {}).items():
        for code in codes:
            lacking.setdefault(code, []).append(what)
    proven = {outcome.code for outcome in outcomes if isinstance(outcome, Finding)}
    lacking = {code: what for code, what in lacking.items() if code not in proven}
    unknown = [
        Unknown(
            code=code,
            because=f"the source of this imported run does not hold {listed(lacking[code])}",
            needs="a source that does, or a run that rlvr records",
        )
        for code in dict.fromkeys(outcome.code for outcome in outcomes)
        if code in lacking
    ]
    return [outcome for outcome in outcomes if outcome.code not in lacking] + unknown


def _without_the_cut(outcomes: list[Outcome], evidence: RunEvidence) -> list[Outcome]:
    """The outcomes, an unknown instead of those that need groups which a filter cut."""
    if not evidence.cut_groups:
        return outcomes
    cut = dict.fromkeys(o.code for o in outcomes if o.code in NEEDS_WHOLE_GROUPS)
    unknown = [
        Unknown(
            code=code,
            because=f"the filter leaves rollouts of {counted(evidence.cut_groups, 'group')} out",
            needs="a filter that takes whole groups, such as one by step, or none",
        )
        for code in cut
    ]
    return [outcome for outcome in outcomes if outcome.code not in cut] + unknown


def _rank(finding: Finding) -> tuple[int, float, bool]:
    """Severity, then the share of signal or gap to the percent, then causes before symptoms."""
    share = max(finding.signal, finding.gap_share or 0.0)
    return finding.severity.rank, -round(share, 2), finding.code in _SYMPTOMS
