"""Do the reward's components tell rollouts apart, and do they pull in one direction?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats
from rlvr.analysis.statistics import Side, share
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.detectors.ceased import Ceased, ceased_finding, ceased_of
from rlvr.diagnosis.detectors.wording import counted, listed, percent
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
from rlvr.diagnosis.habits import dated
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.thresholds import (
    CONSTANT,
    CONSTANT_FOR_SURE,
    MINOR_WEIGHT,
    MOST_WEIGHT,
    SATURATED,
)

CONSTANT_CODE, SATURATED_CODE = "component-constant", "component-saturated"
CODES = (CONSTANT_CODE, SATURATED_CODE)


@dataclass(frozen=True, kw_only=True)
class _Component:
    """One weighted component. `gain` is its value, or minus it where its weight is negative.

    `weight` is its share of all weights. `varies` is False where every value that it gave is the
    same, `clusters` how many groups it scored; `top` is its highest gain, and `ceased` says since
    when it does not vary any more.
    """

    name: str
    weight: float
    gain: Floats
    top: float
    varies: bool
    clusters: int
    penalty: bool
    ceased: Ceased | None

    @property
    def at_best(self) -> bool:
        """Whether its highest gain is likely to be the highest that there is."""
        return self.top >= (0.0 if self.penalty else 1.0) - FLAT_SPREAD

    def is_constant(self, threshold: float) -> bool:
        """Whether the interval rules out that so large a share of groups has another value."""
        none = share(0, self.clusters)
        return not self.varies and none.side(threshold) is Side.BELOW


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Weighted components that never vary, and those that stand at their best nearly always."""
    components = _weighted(evidence)
    if not components:
        return tuple(
            Unknown(
                code=code,
                because="no value of a reward component with a weight was recorded",
                needs="components and their weights",
            )
            for code in CODES
        )
    return (_constant(evidence, components), _saturated(evidence, components))


def _weighted(evidence: RunEvidence) -> tuple[_Component, ...]:
    rollouts = evidence.rollouts
    weights = {name: w for name, w in evidence.signal.weights.items() if math.isfinite(w) and w}
    total = sum(map(abs, weights.values()))
    found = []
    for name in rollouts.component_names:
        if name not in weights:
            continue
        gain = rollouts.component(name) * math.copysign(1.0, weights[name])
        scored = np.isfinite(gain)
        if not scored.any():
            continue
        low, high = float(gain[scored].min()), float(gain[scored].max())
        found.append(
            _Component(
                name=name,
                weight=abs(weights[name]) / total,
                gain=np.where(scored, gain, np.nan),
                top=high,
                varies=high - low > FLAT_SPREAD,
                clusters=rollouts.clusters(scored),
                penalty=weights[name] < 0,
                ceased=ceased_of(evidence, name, abs(weights[name]) / total, gain),
            )
        )
    return tuple(found)


def _constant(evidence: RunEvidence, components: tuple[_Component, ...]) -> Outcome:
    rollouts, signal = evidence.rollouts, evidence.signal
    ceased = [c.ceased for c in components if c.ceased is not None]
    if ceased:
        return ceased_finding(evidence, ceased, CONSTANT_CODE)
    same = [c for c in components if not c.varies and not c.at_best]
    dead = [component for component in same if component.is_constant(CONSTANT)]
    if not dead:
        if not same:
            names = [component.name for component in components]
            return Healthy(
                code=CONSTANT_CODE,
                sentence=f"no weighted component is stuck at one value below its best:"
                f" {listed(names)}",
            )
        return Unknown(
            code=CONSTANT_CODE,
            because=f"{counted(same[0].clusters, 'group')} can't tell whether"
            f" {listed([component.name for component in same])}, so far always the same, varies",
            needs="more steps",
        )
    weight = sum(component.weight for component in dead)
    sure = all(component.is_constant(CONSTANT_FOR_SURE) for component in dead)
    severity = Severity.NOTE if weight < MINOR_WEIGHT else Severity.WARNING
    lost = 0
    if weight > MOST_WEIGHT:
        severity = Severity.ERROR if sure else Severity.WARNING
        lost = int((signal.concerned(Reason.ALL_FAILED) | signal.concerned(Reason.CONSTANT)).sum())
    values = [f"{c.name} was {_value(c):g}" for c in dead]
    return Finding(
        code=CONSTANT_CODE,
        severity=severity,
        sentence=f"In every rollout {listed(values)}: {percent(weight)} of the reward's weight"
        " tells no rollout from another.",
        rollouts=len(rollouts),
        lost=lost,
        numbers=_by_component({c.name: c.weight for c in dead}, "weight of"),
        plot=Plot(
            title="mean of the component",
            series={c.name: rollouts.by_step(rollouts.component(c.name)) for c in dead},
        ),
        examples=examples_of(
            rollouts, np.isfinite(dead[0].gain), why=f"{dead[0].name} is {_value(dead[0]):g}"
        ),
        lookalikes=(
            LookAlike(
                what="a scorer that fails in silence",
                told_apart_by="then rollouts that should score get nothing (scorer-silent); call"
                " it by hand on an example that deserves its best value",
            ),
            LookAlike(
                what="a task too hard for the policy, so that nothing was ever earned",
                told_apart_by="a component with partial credit varies, and so does the text",
            ),
            LookAlike(
                what="a penalty with values below 0 that never applied",
                told_apart_by="its code: 0 is then its best value, and this finding is empty",
            ),
        ),
        refuted_by="`rlvr show RUN` lists each component's mean and spread; an example that"
        " deserves another value and gets it shows the finding wrong.",
        remedy="score by hand a completion that deserves the best value. If it gets it, the policy"
        " never earns it: give partial credit, easier prompts or a warm start, or set the weight"
        " to 0. If it does not, mend the scorer.",
        since_step=int(rollouts.steps[0]),
    )


def _saturated(evidence: RunEvidence, components: tuple[_Component, ...]) -> Outcome:
    rollouts = evidence.rollouts
    shares, few = {}, []
    for component in components:
        scored = np.isfinite(component.gain) & rollouts.recent
        best = scored & (component.gain >= component.top - FLAT_SPREAD) & component.at_best
        shares[component.name] = int(best.sum()) / max(int(scored.sum()), 1)
        if share(0, rollouts.clusters(scored)).side(CONSTANT) is not Side.BELOW:
            few.append(component.name)
    full = [c for c in components if shares[c.name] >= SATURATED and c.name not in few]
    if not full and few:
        return Unknown(
            code=SATURATED_CODE,
            because=f"the last steps have too few groups to tell whether {listed(few)} still"
            " varies",
            needs="more steps",
        )
    weight = sum(component.weight for component in full)
    if weight < MINOR_WEIGHT:
        return Healthy(
            code=SATURATED_CODE,
            sentence=f"{percent(1 - weight)} of the reward's weight still tells rollouts apart:"
            f" best values in less than {percent(SATURATED)} of the last rollouts",
            numbers=_by_component(shares, "at its best now:"),
        )
    always = [c for c in full if c.weight > MOST_WEIGHT and c.is_constant(CONSTANT_FOR_SURE)]
    values = [f"{c.name} in {percent(shares[c.name])}" for c in full]
    ever = (
        f" {always[0].name} was so from the first rollout on: it may not judge anything."
        if always
        else ""
    )
    at_best = full[0].gain >= full[0].top - FLAT_SPREAD
    return Finding(
        code=SATURATED_CODE,
        severity=Severity.WARNING if always else Severity.NOTE,
        sentence=f"Components at their best value in nearly every rollout of the last steps:"
        f" {listed(values)}; {percent(weight)} of the reward's weight hardly tells rollouts"
        f" apart any more.{ever}",
        rollouts=len(rollouts),
        numbers=_by_component({c.name: shares[c.name] for c in full}, "at its best now:"),
        plot=Plot(
            title="share of the rollouts with the component's best value",
            series={c.name: _at_best(evidence, c) for c in full},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(rollouts, at_best, why=f"{full[0].name} is {_value(full[0]):g}"),
        lookalikes=(
            LookAlike(
                what="a skill that is learnt",
                told_apart_by="the share rose during the run; it is at its best because rollouts"
                " deserve it",
            ),
            LookAlike(
                what="a scorer that says yes to everything",
                told_apart_by="it was at its best from the first step on, and an empty or wrong"
                " completion gets the best value too",
            ),
        ),
        refuted_by="score an empty completion with the component: if it gets less, the component"
        " still judges, and the policy just earns it.",
        remedy="a component that is learnt may stay. Where it makes up much of the reward, lower"
        " its weight, make it stricter, or use harder prompts, so that the rest decides the"
        " advantages.",
        since_step=dated(rollouts, at_best, SATURATED, np.isfinite(full[0].gain)),
    )


def _at_best(evidence: RunEvidence, component: _Component) -> list[tuple[int, float]]:
    best = component.gain >= component.top - FLAT_SPREAD
    return evidence.rollouts.by_step(best, np.isfinite(component.gain))


def _value(component: _Component) -> float:
    return -component.top if component.penalty else component.top


def _by_component(values: Mapping[str, float], what: str) -> tuple[Number, ...]:
    return tuple(
        Number(name=f"{what} {name}", value=value, unit="share") for name, value in values.items()
    )
