"""Does the reward rise by something else than right answers?"""

import math
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.statistics import Share, Side, bend
from rlvr.diagnosis.changes import Change, change
from rlvr.diagnosis.detectors.wording import listed, percent
from rlvr.diagnosis.deviations import Deciders
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
from rlvr.diagnosis.thresholds import DECIDES, HACKED, LARGE_MAJORITY, PARTIAL_CREDIT

CODE = "reward-hacking"


@dataclass(frozen=True, kw_only=True)
class _Rise:
    """How the total and its outcome moved, and who decides the signs of the advantages now.

    `others` are the components that are neither the outcome nor partial credit for it; `theirs` is
    the part of the signs that they decide. `weight` is the outcome's.
    """

    outcome: str
    weight: float
    total: Change
    answers: Change
    deciders: Deciders
    others: tuple[str, ...]
    theirs: Share

    @property
    def flat(self) -> bool:
        """Whether the outcome is proven to add too little to the rise."""
        return self.weight * self.answers.high < HACKED * self.total.size


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """A total that rises while the outcome stays, by components that decide the advantages."""
    outcome = evidence.signal.outcome
    known = evidence.rollouts.component_names
    weighted = [name for name in known if evidence.signal.weights.get(name, 0.0)]
    if outcome is None or not weighted:
        return (
            Unknown(
                code=CODE,
                because="no weighted component says whether an answer is right",
                needs="components and their weights",
            ),
        )
    if weighted == [outcome]:
        sentence = f"the reward has one weighted component, {outcome}"
        return (Healthy(code=CODE, sentence=sentence),)
    found = _rise(evidence, outcome, weighted)
    if found is None:
        return (
            Unknown(
                code=CODE,
                because="the first third of the run and its last steps are too short to compare",
                needs="more steps: twenty groups before the last ten steps, and twenty in these",
            ),
        )
    return (_judged(evidence, found),)


def _rise(evidence: RunEvidence, outcome: str, weighted: list[str]) -> _Rise | None:
    rollouts = evidence.rollouts
    total = change(rollouts, rollouts.numbers("reward"))
    answers = change(rollouts, rollouts.component(outcome))
    if total is None or answers is None:
        return None
    deciders = Deciders.of(evidence)
    partial = _partial_credit(evidence, outcome, weighted)
    others = tuple(name for name in weighted if name != outcome and name not in partial)
    return _Rise(
        outcome=outcome,
        weight=evidence.signal.weights.get(outcome, 0.0),
        total=total,
        answers=answers,
        deciders=deciders,
        others=others,
        theirs=deciders.share_of(*others, where=rollouts.recent),
    )


def _partial_credit(evidence: RunEvidence, outcome: str, weighted: list[str]) -> set[str]:
    """Components that go with the outcome, so that they measure the same thing more finely."""
    right = evidence.rollouts.component(outcome)
    found = set()
    for name in weighted:
        values = evidence.rollouts.component(name)
        both = np.isfinite(right) & np.isfinite(values)
        x, y = right[both], values[both]
        if x.size < 2 or x.max() == x.min() or y.max() == y.min():
            continue
        sign = math.copysign(1.0, evidence.signal.weights[name])
        if sign * float(np.corrcoef(x, y)[0, 1]) > PARTIAL_CREDIT:
            found.add(name)
    return found


def _judged(evidence: RunEvidence, found: _Rise) -> Outcome:
    side = found.theirs.side(DECIDES)
    if found.total.rises and found.flat and side is Side.ABOVE:
        return _finding(evidence, found)
    moved = f"{found.outcome} went from {found.answers.early:.2f} to {found.answers.now:.2f}"
    if not found.total.rises:
        said = f"the reward is not proven to rise ({found.total.early:.2f} to"
        said += f" {found.total.now:.2f}), so nothing is hacked"
        return Healthy(code=CODE, sentence=said)
    if not found.flat:
        return Healthy(code=CODE, sentence=f"the reward rises, and right answers with it: {moved}")
    if side is Side.BELOW or not found.others:
        return Healthy(
            code=CODE,
            sentence=f"right answers and partial credit for them decide"
            f" {percent(1 - found.theirs.value)} of the advantages' signs"
            if found.theirs.trials
            else "no other component decides the sign of any advantage",
        )
    return Unknown(
        code=CODE,
        because=f"the reward rises and {moved}, but the groups of the last steps are too few to"
        f" tell who decides their advantages ({listed(found.others)}:"
        f" {percent(found.theirs.value) if found.theirs.trials else 'none'})",
        needs="more steps",
    )


def _finding(evidence: RunEvidence, found: _Rise) -> Finding:
    rollouts, deciders = evidence.rollouts, found.deciders
    theirs = deciders.by(*found.others)
    shares = deciders.shares(rollouts.recent)
    first = max(found.others, key=lambda name: shares.get(name, 0.0))
    against = found.answers.falls and found.theirs.side(LARGE_MAJORITY) is Side.ABOVE
    what = "falls" if found.answers.falls else "stays"
    return Finding(
        code=CODE,
        severity=Severity.ERROR if against else Severity.WARNING,
        sentence=f"The reward rises from {found.total.early:.2f} to {found.total.now:.2f} while"
        f" {found.outcome} {what} ({found.answers.early:.2f} to {found.answers.now:.2f}):"
        f" {first} decides the sign of {percent(shares[first])} of the advantages now.",
        rollouts=len(rollouts),
        numbers=(
            Number(name="reward, first third", value=found.total.early),
            Number(name="reward now", value=found.total.now),
            Number(name=f"{found.outcome}, first third", value=found.answers.early),
            Number(name=f"{found.outcome} now", value=found.answers.now),
            *(
                Number(name=f"signs decided by {name} now", value=value, unit="share")
                for name, value in shares.items()
            ),
        ),
        plot=Plot(
            title="reward, the outcome, and the component that decides",
            series={
                "reward": rollouts.by_step(rollouts.numbers("reward")),
                found.outcome: rollouts.by_step(rollouts.component(found.outcome)),
                first: rollouts.by_step(rollouts.component(first)),
            },
        ),
        examples=examples_of(
            rollouts,
            theirs & rollouts.recent & (rollouts.numbers("advantage") > 0),
            why=f"praised for {first}",
            order=rollouts.component(found.outcome),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="`rlvr show RUN --step N` lists the rollouts of a late step with their"
        " components: if those with a positive advantage are mostly those that are right, the"
        " finding is wrong.",
        remedy=f"let {first} count only where the answer is right (multiply instead of adding), or"
        " cap it and lower its weight until it can't turn the order of a right and a wrong rollout;"
        " give the outcome something to learn from (easier prompts, partial credit).",
        since_step=bend(_earned(evidence, found.others)),
    )


def _earned(evidence: RunEvidence, names: tuple[str, ...]) -> list[tuple[int, float]]:
    """What the components add to the mean reward of each step."""
    rollouts, weights = evidence.rollouts, evidence.signal.weights
    parts = [np.nan_to_num(rollouts.component(name)) * weights[name] for name in names]
    return rollouts.by_step(np.sum(parts, axis=0))


_LOOKALIKES = (
    LookAlike(
        what="partial credit on the way to the outcome",
        told_apart_by="rollouts that are right have more of it: its correlation with the outcome is"
        f" above {PARTIAL_CREDIT:g}, and it is not counted",
    ),
    LookAlike(
        what="a form that is learnt first, before any answer is right",
        told_apart_by="its component then saturates within some steps (component-saturated), and"
        " the outcome begins to rise; look again later",
    ),
    LookAlike(
        what="an outcome that was solved before the run began",
        told_apart_by="its mean is near its best value, and its groups are flat"
        " (zero-variance-groups: all solved)",
    ),
)
