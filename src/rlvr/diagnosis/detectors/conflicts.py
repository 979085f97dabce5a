"""Do two components of the reward pull the rollouts of a group in opposite directions?"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rlvr.analysis.columns import Floats, Ints
from rlvr.analysis.statistics import Z
from rlvr.diagnosis.detectors.wording import counted, percent
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
from rlvr.diagnosis.thresholds import CANCELLED, CONFLICT, CONFLICT_GROUPS, FLAT_SPREAD

CODE = "components-conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two weighted components within groups.

    `correlation` is that of their deviations from the group's mean, `high` the upper bound of its
    interval of 99 %. `remaining` is the variance of their sum, relative to what it would be without
    correlation. `groups` counts those in which both vary.
    """

    first: str
    second: str
    correlation: float
    high: float
    remaining: float
    groups: int


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Pairs of weighted components whose deviations from the group's mean are opposed."""
    deviations = _deviations(evidence)
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
    group = evidence.rollouts.group
    pairs = [
        pair
        for first, second in combinations(deviations, 2)
        if (pair := _pair(first, second, deviations[first], deviations[second], group)) is not None
    ]
    judged = [pair for pair in pairs if pair.groups >= CONFLICT_GROUPS]
    opposed = sorted((pair for pair in judged if pair.high < CONFLICT), key=lambda p: p.remaining)
    if opposed:
        return (_finding(evidence, opposed, deviations),)
    if judged:
        lowest = min(judged, key=lambda pair: pair.correlation)
        if lowest.correlation < CONFLICT:
            return (_unsure(lowest),)
        return (
            Healthy(
                code=CODE,
                sentence=f"no two components pull apart within groups; the lowest correlation is"
                f" {lowest.correlation:+.2f}, of {lowest.first} and {lowest.second}",
            ),
        )
    most = max((pair.groups for pair in pairs), default=0)
    return (
        Unknown(
            code=CODE,
            because=f"two components vary within {counted(most, 'group')} at most, fewer than"
            f" {CONFLICT_GROUPS}",
            needs="more steps",
        ),
    )


def _unsure(pair: _Pair) -> Unknown:
    return Unknown(
        code=CODE,
        because=f"{pair.first} and {pair.second} have a correlation of {pair.correlation:+.2f}"
        f" within {counted(pair.groups, 'group')}, which may be chance: the interval goes up to"
        f" {pair.high:+.2f}",
        needs="more steps",
    )


def _deviations(evidence: RunEvidence) -> dict[str, Floats]:
    """Weight x (value - mean of its group) of each weighted component that varies in some group.

    0 where a component has no value. Shape (rollouts,) each.
    """
    rollouts = evidence.rollouts
    group = rollouts.group
    found = {}
    for name in rollouts.component_names:
        weight = evidence.signal.weights.get(name, 0.0)
        if not weight or not math.isfinite(weight):
            continue
        values = rollouts.component(name)
        scored = np.isfinite(values)
        sound = np.where(scored, values, 0.0)
        counts = np.bincount(group, weights=scored)
        means = np.bincount(group, weights=sound) / np.maximum(counts, 1)
        deviation = np.where(scored, sound - means[group], 0.0)
        if np.abs(deviation).max(initial=0.0) > FLAT_SPREAD:
            found[name] = weight * deviation
    return found


def _pair(first: str, second: str, x: Floats, y: Floats, group: Ints) -> _Pair | None:
    """The correlation within groups. Its variance is that of the sum over groups of each group's
    influence (the delta method), on Fisher's z scale; R. A. Fisher, 1921."""
    xx, yy, xy = (np.bincount(group, weights=p) for p in (x * x, y * y, x * y))
    both = (xx > FLAT_SPREAD**2) & (yy > FLAT_SPREAD**2)
    sum_xx, sum_yy = float(xx.sum()), float(yy.sum())
    groups = int(both.sum())
    if not groups:
        return None
    scale = math.sqrt(sum_xx * sum_yy)
    correlation = float(xy.sum()) / scale
    influence = xy / scale - correlation / 2 * (xx / sum_xx + yy / sum_yy)
    margin = max(1 - correlation**2, 1e-6)
    error = max(math.sqrt(float((influence**2).sum())) / margin, 1 / math.sqrt(max(groups - 3, 1)))
    z = math.atanh(max(min(correlation, 1 - 1e-6), -1 + 1e-6))
    return _Pair(
        first=first,
        second=second,
        correlation=correlation,
        high=math.tanh(z + Z * error),
        remaining=1 + 2 * float(xy.sum()) / (sum_xx + sum_yy),
        groups=groups,
    )


def _finding(evidence: RunEvidence, opposed: list[_Pair], deviations: dict[str, Floats]) -> Finding:
    rollouts = evidence.rollouts
    worst = opposed[0]
    x, y = deviations[worst.first], deviations[worst.second]
    cancels = worst.remaining < CANCELLED
    consequence = (
        f"of what the two would teach together, {percent(1 - worst.remaining)} cancels out"
        if cancels
        else "the larger one decides"
    )
    apart = (np.abs(x) > FLAT_SPREAD) & (np.abs(y) > FLAT_SPREAD) & (x * y < 0)
    return Finding(
        code=CODE,
        severity=Severity.WARNING if cancels else Severity.NOTE,
        sentence=f"Where {worst.first} is above its group's mean, {worst.second} is mostly below"
        f" (correlation {worst.correlation:+.2f}): {consequence}.",
        rollouts=len(rollouts),
        numbers=tuple(
            Number(name=f"{name} of {pair.first} and {pair.second}", value=value)
            for pair in opposed
            for name, value in (
                ("correlation within groups", pair.correlation),
                ("remaining variance", pair.remaining),
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
    )
