"""How many groups teach nothing because all their rollouts got the same reward?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.analysis.statistics import ENOUGH_CLUSTERS, Share, Side, share
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.detectors.wording import listed, percent
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.finding import (
    Example,
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Plot,
    Severity,
    Unknown,
)
from rlvr.diagnosis.habits import dated
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.repeats import Repeats, repeats
from rlvr.diagnosis.thresholds import FLAT_COSTLY, FLAT_HOPELESS, FLAT_NOTED

CODE = "zero-variance-groups"

_KINDS: Mapping[Reason, str] = {
    Reason.ALL_SOLVED: "all solved",
    Reason.ALL_FAILED: "all failed",
    Reason.CONSTANT: "same reward in between",
}

_REMEDIES: Mapping[Reason, str] = {
    Reason.ALL_SOLVED: "the prompts are used up or too easy: leave out those that the policy"
    " solves every time, add harder ones, or stop here.",
    Reason.ALL_FAILED: "give the policy something to start from: easier prompts first, a short"
    " supervised warm start, a reward with partial credit, or larger groups (num_generations);"
    " leave out prompts that it never solves.",
    Reason.CONSTANT: "the reward can't tell these rollouts apart: look which component should"
    " (component-constant), sample at a higher temperature, or add a graded component.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flat:
    """Rollouts in groups without spread: each of `kinds`, and `any`, over `trials` in `clusters`.

    Shares are of rollouts; a group counts once for their certainty.
    """

    kinds: Mapping[Reason, float]
    any: Share
    unsolved: Share


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Groups of which no rollout got another reward than the rest, now and before."""
    rollouts, groups = evidence.rollouts, evidence.rollouts.groups
    compared = np.zeros(len(rollouts), np.bool_)
    if len(groups):
        compared = ((groups.size > 1) & np.isfinite(groups.spread))[rollouts.group]
    now = compared & rollouts.recent
    if not now.any():
        return (_nothing_compared(evidence),)
    current, earlier = _flat(evidence, now), _flat(evidence, compared & ~rollouts.recent)
    severity = _severity(current)
    if severity is None and earlier.any.side(FLAT_COSTLY) is Side.ABOVE:
        severity = Severity.NOTE
    if severity is not None:
        return (_finding(evidence, severity, current, earlier),)
    if current.any.side(FLAT_COSTLY) is Side.BELOW:
        return (
            Healthy(
                code=CODE,
                sentence=f"rewards differ within {percent(1 - current.any.value)} of the groups of"
                " the last steps",
                numbers=_numbers(current, earlier),
            ),
        )
    return (
        Unknown(
            code=CODE,
            because=f"{rollouts.clusters(now):,} groups, {percent(current.any.value)} of them"
            f" without spread, can't tell whether the share is above {percent(FLAT_COSTLY)}",
            needs="more steps",
        ),
    )


def _nothing_compared(evidence: RunEvidence) -> Unknown:
    sizes = evidence.rollouts.groups.size
    if len(sizes) and sizes.max() < 2:
        because = "no group has two rollouts to compare"
    else:
        because = "no recent group has a finite reward for each of its rollouts"
    return Unknown(
        code=CODE, because=because, needs="groups of two or more scored rollouts (num_generations)"
    )


def _flat(evidence: RunEvidence, where: Mask) -> _Flat:
    trials, clusters = int(where.sum()), evidence.rollouts.clusters(where)
    held = {kind: int((evidence.signal.holds[kind] & where).sum()) for kind in _KINDS}
    solved = held[Reason.ALL_SOLVED]
    return _Flat(
        kinds={kind: count / max(trials, 1) for kind, count in held.items()},
        any=share(sum(held.values()), trials, clusters=clusters),
        unsolved=share(sum(held.values()) - solved, trials, clusters=clusters),
    )


def _severity(flat: _Flat) -> Severity | None:
    if flat.unsolved.side(FLAT_HOPELESS) is Side.ABOVE:
        return Severity.ERROR
    if flat.any.side(FLAT_COSTLY) is Side.ABOVE:
        return Severity.WARNING
    return Severity.NOTE if flat.any.side(FLAT_NOTED) is Side.ABOVE else None


def _finding(evidence: RunEvidence, severity: Severity, current: _Flat, earlier: _Flat) -> Finding:
    rollouts, signal = evidence.rollouts, evidence.signal
    masks = {kind: signal.holds[kind] for kind in _KINDS}
    flat = np.logical_or.reduce(list(masks.values()))
    lost = np.logical_or.reduce([signal.concerned(kind) for kind in _KINDS])
    seen = current if current.any.hits else earlier
    main = max(_KINDS, key=lambda kind: seen.kinds[kind])
    again = repeats(evidence)
    return Finding(
        code=CODE,
        severity=severity,
        sentence=_sentence(evidence, current, earlier) + _of_repeats(again),
        rollouts=len(rollouts),
        lost=int(lost.sum()),
        numbers=(
            *_numbers(current, earlier),
            _distinct_texts(evidence, flat),
            *_repeat_numbers(again),
        ),
        plot=Plot(
            title="share of the rollouts in groups without spread",
            series={
                _KINDS[kind]: rollouts.by_step(mask) for kind, mask in masks.items() if mask.any()
            },
            y_range=(0.0, 1.0),
        ),
        examples=_examples(evidence, masks[main]),
        lookalikes=_LOOKALIKES,
        refuted_by="`rlvr show RUN GROUP` lists the rollouts of one of these groups: if their"
        " rewards differ, the finding is wrong.",
        remedy=_REMEDIES[main],
        since_step=dated(rollouts, flat, FLAT_NOTED if severity is Severity.NOTE else FLAT_COSTLY),
    )


def _sentence(evidence: RunEvidence, current: _Flat, earlier: _Flat) -> str:
    reward = evidence.rollouts.numbers("reward")
    finite = reward[np.isfinite(reward)]
    if finite.max() - finite.min() <= FLAT_SPREAD:
        return (
            f"Every rollout of the run got the same reward, {finite[0]:g}: every advantage is 0"
            " and nothing is learnt."
        )
    seen = {_KINDS[kind]: value for kind, value in current.kinds.items() if value > 0}
    kinds = list(seen) if len(seen) == 1 else [f"{percent(v)} {kind}" for kind, v in seen.items()]
    before = f" (before: {percent(earlier.any.value)})" if earlier.any.trials else ""
    split = f": {listed(kinds)}" if kinds else ""
    return (
        f"In the last steps {percent(current.any.value)} of the groups{before} taught nothing,"
        f" because all their rollouts got the same reward{split}."
    )


def _numbers(current: _Flat, earlier: _Flat) -> tuple[Number, ...]:
    numbers = [Number(name="groups without spread now", value=current.any.value, unit="share")]
    if earlier.any.trials:
        numbers.append(
            Number(name="groups without spread before", value=earlier.any.value, unit="share")
        )
    kinds = ((f"{_KINDS[kind]} now", value) for kind, value in current.kinds.items())
    return (*numbers, *(Number(name=name, value=value, unit="share") for name, value in kinds))


def _of_repeats(again: Repeats) -> str:
    """A sentence on examples that were asked again for nothing; empty where these are few."""
    if again.asked < ENOUGH_CLUSTERS or again.spent <= FLAT_NOTED:
        return ""
    parts = [
        f"{count:,} {kind} each time"
        for count, kind in ((again.solved, "solved"), (again.failed, "failed"))
        if count
    ]
    return f" Of {again.asked:,} examples that were asked again, {listed(parts)}."


def _repeat_numbers(again: Repeats) -> tuple[Number, ...]:
    if not again.asked:
        return ()
    return (
        Number(name="examples asked again", value=again.asked, unit="examples"),
        Number(name="of them solved by all each time", value=again.solved, unit="examples"),
        Number(name="of them failed by all each time", value=again.failed, unit="examples"),
    )


def _distinct_texts(evidence: RunEvidence, flat: Mask) -> Number:
    """How many of the rollouts in flat groups say something that no other of the group says."""
    text, group = evidence.rollouts.codes("derived_text_hash"), evidence.rollouts.group
    known = flat & (text >= 0)
    pairs = np.unique(group[known] * (int(text.max(initial=0)) + 1) + text[known])
    value = len(pairs) / int(known.sum()) if known.any() else None
    return Number(name="different texts in these groups", value=value, unit="share")


def _examples(evidence: RunEvidence, where: Mask) -> tuple[Example, ...]:
    rollouts = evidence.rollouts
    newest = np.unique(rollouts.group[where])[::-1][:3]
    column = rollouts.table["group_id"]
    return tuple(
        Example(
            id=str(column[int(rollouts.groups.first[group])].as_py()),
            why=f"all {rollouts.groups.size[group]} rollouts got {rollouts.groups.mean[group]:.3g}",
        )
        for group in newest
    )


_LOOKALIKES = (
    LookAlike(
        what="a scorer that fails in silence and gives everything 0",
        told_apart_by="then rollouts that end with the reference answer get 0 too (scorer-silent)",
    ),
    LookAlike(
        what="a policy that says the same in every rollout: temperature too low, or collapsed",
        told_apart_by='the number "different texts in these groups": near 1 the texts differ and'
        " only the rewards are equal",
    ),
)
