"""Components of the reward that told rollouts apart, and have ceased to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats
from rlvr.analysis.statistics import Side, share
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.detectors.wording import listed, percent
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import Finding, LookAlike, Number, Plot, Severity
from rlvr.diagnosis.habits import turning_point
from rlvr.diagnosis.thresholds import CONSTANT, MINOR_WEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceased:
    """A component that varied, and has given every rollout the same since `step`. `weight` is its
    share of all weights."""

    name: str
    weight: float
    step: int


def ceased_of(evidence: RunEvidence, name: str, weight: float, gain: Floats) -> Ceased | None:
    """The component where it stands still in all recent rollouts, below its best, and in so many
    groups that this is no chance; else None. `gain` is NaN where it has no value."""
    rollouts = evidence.rollouts
    scored = np.isfinite(gain)
    value = float(gain[np.flatnonzero(scored)[-1]])
    other = scored & (np.abs(gain - value) > FLAT_SPREAD)
    if value >= float(gain[scored].max()) - FLAT_SPREAD or (other & rollouts.recent).any():
        return None
    turning = turning_point(rollouts, scored & ~other, scored)
    after = scored & (rollouts.step > rollouts.step[other].max())
    if turning is None or not turning.risen:
        return None
    if share(0, rollouts.clusters(after)).side(CONSTANT) is not Side.BELOW:
        return None
    return Ceased(name=name, weight=weight, step=int(rollouts.step[after].min()))


def ceased_finding(evidence: RunEvidence, ceased: Sequence[Ceased], code: str) -> Finding:
    """Components that told rollouts apart, and stand at one value now."""
    rollouts = evidence.rollouts
    weight = sum(component.weight for component in ceased)
    since = {component.name: component.step for component in ceased}
    values = [
        f"{name} has been the same in every rollout since step {since[name]}" for name in since
    ]
    first = ceased[0]
    return Finding(
        code=code,
        severity=Severity.NOTE if weight < MINOR_WEIGHT else Severity.WARNING,
        sentence=f"{listed(values)}, below its best value, though it varied before:"
        f" {percent(weight)} of the reward's weight tells no rollout from another any more.",
        rollouts=len(rollouts),
        numbers=tuple(
            Number(name=f"weight of {c.name}", value=c.weight, unit="share") for c in ceased
        ),
        plot=Plot(
            title="mean of the component",
            series={c.name: rollouts.by_step(rollouts.component(c.name)) for c in ceased},
        ),
        examples=examples_of(
            rollouts,
            np.isfinite(rollouts.component(first.name)) & (rollouts.step >= first.step),
            why=f"{first.name} is as in all others",
        ),
        lookalikes=(
            LookAlike(
                what="a policy that fell apart, or gave up what the component rewards",
                told_apart_by="what it does changed at that step too (divergence, tool-use-drift)",
            ),
            LookAlike(
                what="a scorer that broke in mid-run",
                told_apart_by="its error rate (scorer-errors), or `rlvr rescore RUN`, which gives"
                " the rollouts another value",
            ),
        ),
        refuted_by="score by hand a recent completion that deserves another value: if it gets it,"
        " the component works.",
        remedy="compare a rollout from before that step with one from after it: what does the"
        " component reward that is gone? Mend the scorer, or go back to a checkpoint before it.",
        since_step=min(since.values()),
    )
