"""An outcome that its scorer does not give, without an exception: TRL's None."""

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.analysis.statistics import Side, share
from rlvr.diagnosis.detectors.wording import counted, percent
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import Finding, LookAlike, Number, Plot, Severity
from rlvr.diagnosis.thresholds import UNAFFECTED, WRONG_REWARDS


def withheld(evidence: RunEvidence, *, code: str) -> Finding | None:
    """Rollouts without the outcome that others of the same prompt have, or that none has at all.

    A component that does not apply to a task has no value for any rollout of the task's prompts;
    so the finding is about groups in which some have one, and about the outcome that the run names.
    """
    rollouts, name = evidence.rollouts, evidence.signal.named_outcome
    if name is None or name not in rollouts.component_names:
        return None
    missing = _missing(evidence, name)
    if not missing.any():
        return None
    among = rollouts.recent
    now = share(int((missing & among).sum()), int(among.sum()), clusters=rollouts.clusters(among))
    severity = Severity.WARNING if now.value > UNAFFECTED else Severity.NOTE
    if now.side(WRONG_REWARDS) is Side.ABOVE:
        severity = Severity.ERROR
    count, gradient = int(missing.sum()), evidence.signal.gives_gradient
    how_often = (
        f"none of {counted(len(rollouts), 'rollout')}"
        if count == len(rollouts)
        else f"{len(rollouts) - count:,} of {len(rollouts):,} rollouts ({percent(1 - now.value)}"
        " now), although others of the same prompt have one"
    )
    return Finding(
        code=code,
        severity=severity,
        sentence=f"{name}, which says whether a rollout is right, was given for {how_often}: the"
        " others are compared by what is left of the reward.",
        rollouts=len(rollouts),
        lost=int((missing & ~gradient).sum()),
        corrupted=int((missing & gradient).sum()),
        numbers=(
            Number(name=f"rollouts without {name}", value=count, unit="rollouts"),
            Number(name=f"without {name} now", value=now.value, unit="share"),
        ),
        plot=Plot(
            title=f"share of the rollouts without {name}",
            series={"without": rollouts.by_step(missing)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(rollouts, missing, why=f"it has no {name}"),
        lookalikes=(
            LookAlike(
                what="a component that does not apply to a task",
                told_apart_by="no rollout of that task's prompts has a value of it, and others do",
            ),
        ),
        refuted_by="call the reward function with the completion of an example: if None is what it"
        " should say, the run names the wrong outcome.",
        remedy="let the reward function that gives the outcome return a number for every"
        " completion, or raise: TRL leaves a None out of the total, so that a rollout which nobody"
        " could judge is compared with those that were.",
        since_step=int(rollouts.step[missing].min()),
    )


def _missing(evidence: RunEvidence, name: str) -> Mask:
    """Where the outcome is missing though it applies, and the rollout itself did not fail."""
    rollouts = evidence.rollouts
    unscored = rollouts.unscored(name) & ~rollouts.equals("stop_reason", "error")
    if unscored.all():
        return unscored
    valued = np.zeros(len(rollouts.groups), np.bool_)
    valued[rollouts.group[rollouts.named(name) & ~rollouts.unscored(name)]] = True
    return np.asarray(unscored & valued[rollouts.group])
