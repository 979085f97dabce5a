"""Were rollouts sampled from the weights that they should have been sampled from?"""

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.diagnosis.detectors.defects import end_of_defect, severity_of_defect
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
    Unknown,
)
from rlvr.diagnosis.ledger import Reason

CODE = "wrong-policy-version"

_LOOKALIKES = (
    LookAlike(
        what="batches that are generated ahead on purpose",
        told_apart_by="num_batches_ahead and num_iterations allow that lag; only rollouts beyond it"
        " are counted",
    ),
    LookAlike(
        what="a turn that was sampled after its batch was asked for, by newer weights",
        told_apart_by="the oldest turn counts, and it is never newer than the step unless the"
        " numbers themselves are wrong",
    ),
)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts of weights newer than their step, or older than the settings allow."""
    rollouts = evidence.rollouts
    lag = rollouts.step - rollouts.numbers("derived_policy_version")
    known = ~np.isnan(lag)
    judged = int(known.sum())
    if not judged:
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded the version of the weights that sampled it",
                needs="turns with a policy_version, as a trainer of rlvr.trainers records them",
            ),
        )
    wrong = evidence.signal.holds[Reason.POLICY]
    if wrong.any():
        return (_finding(evidence, wrong, lag, int(wrong.sum()) / judged),)
    if evidence.max_lag is None:
        return (
            Unknown(
                code=CODE,
                because=f"the weights lay up to {counted(int(np.nanmax(lag)), 'update')} behind,"
                " and the run does not say how many it allows",
                needs="num_batches_ahead in the recorded configuration",
            ),
        )
    return (
        Healthy(
            code=CODE,
            sentence=_healthy(int(np.nanmax(lag)), evidence.max_lag),
            numbers=(Number(name="largest lag", value=int(np.nanmax(lag)), unit="updates"),),
        ),
    )


def _healthy(largest: int, allowed: int) -> str:
    if largest == 0:
        return "every rollout was sampled from the newest weights"
    return (
        f"the sampling weights lay at most {counted(largest, 'update')} behind, as the"
        f" settings allow ({allowed})"
    )


def _finding(evidence: RunEvidence, wrong: Mask, lag: Floats, share: float) -> Finding:
    rollouts = evidence.rollouts
    version = rollouts.numbers("derived_policy_version")
    frozen = len(rollouts.steps) > 1 and np.unique(version[~np.isnan(version)]).size == 1
    return Finding(
        code=CODE,
        severity=severity_of_defect(rollouts, wrong, share),
        sentence=_sentence(evidence, lag[wrong], share, frozen=frozen)
        + end_of_defect(rollouts, wrong),
        rollouts=len(rollouts),
        corrupted=int(evidence.signal.concerned(Reason.POLICY).sum()),
        numbers=(
            Number(name="rollouts of other weights", value=share, unit="share"),
            Number(name="largest lag", value=int(lag[wrong].max()), unit="updates"),
            Number(name="lag that the settings allow", value=evidence.max_lag, unit="updates"),
        ),
        plot=Plot(
            title="updates that the sampling weights lie behind, mean of a step",
            series={"lag": rollouts.by_step(lag)},
        ),
        examples=examples_of(
            rollouts, wrong, why="sampled from other weights than it should", order=-np.abs(lag)
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="score the first answer of an example with the weights of its step"
        " (`gap_mean_by_turn`, first entry): if trainer and sampler agree to rounding there, the"
        " weights were right and the recorded version is wrong. `rlvr preflight` changes a weight"
        " and asks the sampler whether it noticed.",
        remedy="sync the sampler before each batch is requested (in vLLM: update every parameter,"
        " then reset the prefix cache), generate fewer batches ahead (num_batches_ahead), and"
        " let no old batch survive a restart.",
        since_step=int(rollouts.step[wrong].min()),
    )


def _sentence(evidence: RunEvidence, lag: Floats, share: float, *, frozen: bool) -> str:
    if (lag < 0).all():
        return (
            f"{percent(share)} of the rollouts name weights that are newer than their training"
            " step: either steps or versions are counted wrong."
        )
    if frozen:
        return (
            f"The sampler never got new weights: all rollouts come from one version, and"
            f" {percent(share)} lie further behind than the settings allow ({evidence.max_lag})."
        )
    return (
        f"{percent(share)} of the rollouts were sampled from weights up to"
        f" {counted(int(lag.max()), 'update')} old, where the settings allow"
        f" {evidence.max_lag}."
    )
