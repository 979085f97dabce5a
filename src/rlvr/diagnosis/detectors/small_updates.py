"""Are the updates large enough to change the policy?"""

import numpy as np

from rlvr.analysis.statistics import onset
from rlvr.diagnosis.changes import change
from rlvr.diagnosis.detectors.wording import counted
from rlvr.diagnosis.evidence import RunEvidence
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
from rlvr.diagnosis.normalisation import FLAT_ADVANTAGE
from rlvr.diagnosis.thresholds import (
    HARMLESS_CLIP,
    SLOW_RATE,
    STANDSTILL_SURE,
    STANDSTILL_UPDATES,
)
from rlvr.diagnosis.updating import Updating, updating

CODE = "update-too-small"


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """A learning rate, a gradient or a clipping that leaves the weights where they are."""
    updates = updating(evidence)
    if updates.rate is None and updates.grad_norm is None and updates.divergence is None:
        return (
            Unknown(
                code=CODE,
                because="the run recorded no learning rate, no gradient norm and no KL",
                needs="what the trainer logs at each step, or its configuration",
            ),
        )
    steps = len(evidence.rollouts.steps)
    if steps < STANDSTILL_UPDATES:
        return (
            Unknown(
                code=CODE,
                because=f"{counted(steps, 'step')} can't tell a small update from a warm-up",
                needs=f"{STANDSTILL_UPDATES} steps",
            ),
        )
    if not updates.moved:
        return (
            Unknown(
                code=CODE,
                because="no rollout of the last steps has an advantage other than 0, so nothing"
                " would move the weights",
                needs="groups whose rewards differ",
            ),
        )
    severity, why = _judged(evidence, updates)
    return (_finding(evidence, updates, severity, why) if severity else _healthy(updates),)


def _judged(evidence: RunEvidence, updates: Updating) -> tuple[Severity | None, str]:
    """How bad it is, and why the weights stand still: the first of these that holds."""
    learns = change(evidence.rollouts, evidence.rollouts.numbers("reward"))
    rises = learns is not None and learns.rises
    proven = Severity.WARNING if rises else Severity.ERROR
    sure = len(updates.divergences) >= STANDSTILL_SURE
    rate, norm, clip = updates.rate, updates.grad_norm, updates.clip
    slow = rate is not None and rate < SLOW_RATE and not updates.warms_up
    clipped = bool(norm and clip and clip < HARMLESS_CLIP * norm)
    at_rate = f"the learning rate of the last steps is {rate or 0.0:.1g}"
    reasons = (
        (
            updates.no_gradient,
            Severity.ERROR,
            "the norm of the gradient is 0 in every update of the last steps",
        ),
        (updates.no_rate, proven, at_rate),
        (
            updates.no_divergence,
            proven if sure else Severity.WARNING,
            f"the policy is {updates.divergence or 0.0:.1g} nats a token from its reference after"
            f" {counted(len(updates.divergences), 'update')}, no more than rounding makes it",
        ),
        (updates.clipped_away, proven, f"gradients are clipped to a norm of {clip or 0.0:.1g}"),
        (slow and not rises, Severity.WARNING, at_rate),
        (
            clipped and not rises,
            Severity.NOTE,
            f"gradients of norm {norm or 0.0:.2g} are clipped to {clip or 0.0:.1g}, which Adam"
            " divides away and other optimizers do not",
        ),
    )
    return next(((severity, why) for holds, severity, why in reasons if holds), (None, ""))


def _healthy(updates: Updating) -> Healthy:
    parts = [
        f"{name} {value:.2g}"
        for name, value in (
            ("a learning rate of", updates.rate),
            ("a gradient norm of", updates.grad_norm),
            ("a KL to the reference of", updates.divergence),
        )
        if value is not None
    ]
    return Healthy(code=CODE, sentence=f"updates can move the weights: {', '.join(parts)}")


def _finding(evidence: RunEvidence, updates: Updating, severity: Severity, why: str) -> Finding:
    rollouts = evidence.rollouts
    since = _since(evidence, updates)
    lost = evidence.signal.gives_gradient.copy()
    if since is not None:
        lost &= rollouts.step >= since
    proven = severity is Severity.ERROR
    share = float((np.abs(rollouts.numbers("advantage")) > FLAT_ADVANTAGE)[rollouts.recent].mean())
    what = "Updates leave the policy where it is" if proven else "Updates may be too small to see"
    series = {
        name: values
        for name, values in (
            ("learning rate", updates.rates),
            ("norm of the gradient", updates.norms),
            ("KL", updates.divergences),
        )
        if len(values)
    }
    return Finding(
        code=CODE,
        severity=severity,
        sentence=f"{what}: {why}, although {share:.0%} of the advantages are not 0.",
        rollouts=len(rollouts),
        lost=int(lost.sum()) if proven else 0,
        numbers=(
            Number(name="largest learning rate now", value=updates.rate),
            Number(name="norm of the gradient now, median", value=updates.grad_norm),
            Number(name="max_grad_norm", value=updates.clip),
            Number(name="largest KL now", value=updates.divergence, unit="nats"),
            Number(name="advantages other than 0 now", value=share, unit="share"),
        ),
        plot=Plot(title="what the trainer logged of its updates", series=series)
        if series
        else None,
        lookalikes=_LOOKALIKES,
        refuted_by="compare two checkpoints some updates apart: if their weights differ by more"
        " than rounding, and greedy answers with them, the finding is wrong.",
        remedy="set learning_rate to what such a model trains with (around 1e-6 for all weights of"
        " a model of billions, 1e-5 to 1e-4 for LoRA, more for small ones), look whether a"
        " scheduler has run out of its steps, whether the trained parameters require gradients and"
        " are those of the optimizer, and whether max_grad_norm is what was meant.",
        since_step=since,
    )


def _since(evidence: RunEvidence, updates: Updating) -> int | None:
    """The step since which the logged rate or gradient is too small; the first, where it is the
    settings that are."""
    for series, line in ((updates.rates, SLOW_RATE), (updates.norms, 0.0)):
        still = [(step, float(value <= line)) for step, value in series]
        if still and still[-1][1]:
            return onset(still, 1.0)
    return int(evidence.rollouts.steps[0])


_LOOKALIKES = (
    LookAlike(
        what="a warm-up that has only begun",
        told_apart_by="the logged rate rises; then nothing is found",
    ),
    LookAlike(
        what="weights that move and a sampler that does not get them",
        told_apart_by="trainer and sampler drift apart (sampler-not-updated)",
    ),
    LookAlike(
        what="advantages that are all 0",
        told_apart_by="then the gradient is 0 too, and zero-variance-groups says why",
    ),
)
