"""Do two components of the reward pull the rollouts of a group in opposite directions?"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rlvr.analysis.columns import Floats, Ints
from rlvr.analysis.within import FLAT_SPREAD, Correlation, correlation
from rlvr.diagnosis.detectors.wording import counted, percent
from rlvr.diagnosis.deviations import weighted_deviations
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import (
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Plot,
    Severity,
    Unknown,
)
from rlvr.diagnosis.habits import begins
from rlvr.diagnosis.thresholds import CANCELLED, CONFLICT, CONFLICT_GROUPS

CODE = "components-conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two weighted components and their correlation within groups, with an interval of 99 %."""

    first: str
    second: str
    within: Correlation


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Pairs of weighted components whose deviations from the group's mean are opposed."""
    deviations = weighted_deviations(evidence)
    known = evidence.rollouts.component_names
    weighted = [name for name in known if evidence.signal.weights.get(name, 0.0)]
    if len(weighted) == 1:
        sentence = f"the reward has one weighted component, {weighted[0]}"
        return (Healthy(code=CODE, sentence=sentence),)
    if len(deviations) < 2:
        return (
            Unknown(
                code=CODE,
                because="fewer than two weighted components vary within groups",
                needs="two or more components with weights, and groups in which they vary",
            ),
        )
    group, recent = evidence.rollouts.group, evidence.rollouts.recent
    pairs = _pairs(deviations, group)
    opposed = _opposed(pairs) or _opposed(
        _pairs({name: moved * recent for name, moved in deviations.items()}, group)
    )
    if opposed:
        return (_finding(evidence, opposed, deviations),)
    judged = [pair for pair in pairs if pair.within.groups >= CONFLICT_GROUPS]
    if judged:
        lowest = min(judged, key=lambda pair: pair.within.value)
        if lowest.within.value < CONFLICT:
            return (_unsure(lowest),)
        return (
            Healthy(
                code=CODE,
                sentence=f"no two components pull apart within groups; the lowest correlation is"
                f" {lowest.within.value:+.2f}, of {lowest.first} and {lowest.second}",
            ),
        )
    most = max((pair.within.groups for pair in pairs), default=0)
    return (
        Unknown(
            code=CODE,
            because=f"two components vary within {counted(most, 'group')} at most, fewer than"
            f" {CONFLICT_GROUPS}",
            needs="more steps",
        ),
    )


def _pairs(moved: Mapping[str, Floats], group: Ints) -> list[_Pair]:
    """Every two components that vary in some group."""
    return [
        _Pair(first=first, second=second, within=within)
        for first, second in combinations(moved, 2)
        if (within := correlation(moved[first], moved[second], group))
    ]


def _opposed(pairs: list[_Pair]) -> list[_Pair]:
    """Those that are proven to conflict, the one that cancels most first."""
    found = [p for p in pairs if p.within.groups >= CONFLICT_GROUPS and p.within.high < CONFLICT]
    return sorted(found, key=lambda pair: pair.within.remaining)


def _unsure(pair: _Pair) -> Unknown:
    return Unknown(
        code=CODE,
        because=f"{pair.first} and {pair.second} have a correlation of {pair.within.value:+.2f}"
        f" within {counted(pair.within.groups, 'group')}, which may be chance: the interval goes up"
        f" to {pair.within.high:+.2f}",
        needs="more steps",
    )


def _finding(evidence: RunEvidence, opposed: list[_Pair], deviations: dict[str, Floats]) -> Finding:
    rollouts = evidence.rollouts
    worst = opposed[0]
    x, y = deviations[worst.first], deviations[worst.second]
    cancels = worst.within.remaining < CANCELLED
    consequence = (
        f"of what the two would teach together, {percent(1 - worst.within.remaining)} cancels out"
        if cancels
        else "the larger one decides"
    )
    both = (np.abs(x) > FLAT_SPREAD) & (np.abs(y) > FLAT_SPREAD)
    apart = both & (x * y < 0)
    return Finding(
        code=CODE,
        severity=Severity.WARNING if cancels else Severity.NOTE,
        sentence=f"Where {worst.first} is above its group's mean, {worst.second} is mostly below"
        f" (correlation {worst.within.value:+.2f}): {consequence}.",
        rollouts=len(rollouts),
        numbers=tuple(
            Number(name=f"{name} of {pair.first} and {pair.second}", value=value)
            for pair in opposed
            for name, value in (
                ("correlation within groups", pair.within.value),
                ("remaining variance", pair.within.remaining),
            )
        ),
        plot=Plot(
            title="weighted mean of the two components",
            series={
                name: rollouts.by_step(rollouts.component(name) * evidence.signal.weights[name])
                for name in (worst.first, worst.second)
            },
        ),
        examples=examples_of(
            rollouts,
            apart,
            order=np.minimum(np.abs(x), np.abs(y)) * -1,
            why=f"{worst.first} and {worst.second} disagree about it",
        ),
        lookalikes=(
            LookAlike(
                what="a price that is meant, such as a small penalty on length or calls",
                told_apart_by="its weight is small, so little cancels, and the outcome still rises",
            ),
            LookAlike(
                what="prompts that differ in difficulty",
                told_apart_by="only deviations from the mean of the own group count here",
            ),
        ),
        refuted_by="open two rollouts of an example's group with `rlvr show RUN ID`: if the better"
        " one by the first component is also the better one by the second, and so in most groups,"
        " the finding is wrong.",
        remedy="decide which of the two matters: lower the weight of the other, or let it count"
        " only where the first is earned (multiply instead of adding).",
        since_step=begins(rollouts, apart, both),
    )
