"""Do the advantages follow from the rewards of their groups?"""

import numpy as np

from rlvr.diagnosis.detectors.defects import end_of_defect, severity_of_defect
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
    Unknown,
)
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.normalisation import Normalisation

CODE = "wrong-advantage"

_LOOKALIKES = (
    LookAlike(
        what="another normalisation: the deviation of the whole batch, leave-one-out, another"
        " epsilon",
        told_apart_by="it is still a positive multiple of the reward minus its group's mean, in"
        " every group; then nothing is found",
    ),
    LookAlike(
        what="rewards that were changed after the advantages were computed, by another scoring",
        told_apart_by="then the recorded reward differs from the weighted sum of its components",
    ),
    LookAlike(
        what="a group of which some rollouts are not recorded",
        told_apart_by="only groups of full size are judged",
    ),
)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts whose advantage is not the one of their reward in their group, or no number."""
    rollouts, check = evidence.rollouts, evidence.signal.advantages
    known = rollouts.known("advantage")
    if not known.any():
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded its advantage",
                needs="a trainer that records advantages, as those of rlvr.trainers do",
            ),
        )
    if check.wrong.any():
        return (_finding(evidence),)
    judged = int(check.judged.sum())
    if not judged:
        return (_not_judged(evidence),)
    named = str(check.normalisation)
    return (
        Healthy(
            code=CODE,
            sentence=f"all {counted(judged, 'advantage')} of whole groups follow from the rewards"
            f" ({named})",
        ),
    )


def _not_judged(evidence: RunEvidence) -> Unknown:
    rollouts = evidence.rollouts
    size = evidence.signal.group_size
    sizes = rollouts.groups.size
    if (size is not None and not (sizes == size).any()) or not (sizes > 1).any():
        return Unknown(
            code=CODE,
            because="no group was recorded whole",
            needs="all rollouts of a group, and num_generations in the run's settings",
        )
    return Unknown(
        code=CODE,
        because="the advantages are not the reward minus the mean of its group, divided by its"
        " deviation or not, and the run does not say how they are made",
        needs="scale_rewards in the run's settings, more groups whose rewards differ, or finite"
        " rewards",
    )


def _finding(evidence: RunEvidence) -> Finding:
    rollouts, check = evidence.rollouts, evidence.signal.advantages
    recorded = rollouts.numbers("advantage")
    known = rollouts.known("advantage")
    wrong, not_finite = check.wrong, known & ~np.isfinite(recorded)
    judged = int((check.judged | not_finite).sum())
    share = int(wrong.sum()) / judged
    # against the mean of its group: no scale is needed to see that an advantage has the wrong sign
    groups = rollouts.groups
    centred = rollouts.numbers("reward") - groups.mean[rollouts.group]
    opposite = wrong & (np.sign(centred) * np.sign(recorded) < 0)
    off = np.abs(recorded - check.expected)
    return Finding(
        code=CODE,
        severity=severity_of_defect(rollouts, wrong, share),
        sentence=_sentence(int(wrong.sum()), int(not_finite.sum()), int(opposite.sum()), share)
        + end_of_defect(rollouts, wrong),
        rollouts=len(rollouts),
        corrupted=int(evidence.signal.concerned(Reason.ADVANTAGE).sum()),
        numbers=(
            Number(name="wrong advantages", value=share, unit="share"),
            Number(name="not a number", value=int(not_finite.sum()), unit="rollouts"),
            Number(name="of the opposite sign", value=int(opposite.sum()), unit="rollouts"),
        ),
        plot=Plot(
            title="share of the advantages that are not those of their group",
            series={"wrong": rollouts.by_step(np.where(check.judged | wrong, wrong, np.nan))},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            wrong,
            why="its advantage is not that of its reward in its group",
            order=np.where(not_finite, -np.inf, -off),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="list the group of an example (`rlvr show RUN --group GROUP`) and compute reward"
        " minus the mean of the group"
        + (
            ", divided by the standard deviation + 1e-4"
            if check.normalisation is Normalisation.SCALED
            else ""
        )
        + ": the finding is wrong if that gives the recorded advantages.",
        remedy=_remedy(not_finite=bool(not_finite.any()), others=bool((wrong & ~not_finite).any())),
        since_step=int(rollouts.step[wrong].min()),
    )


def _sentence(wrong: int, not_finite: int, opposite: int, share: float) -> str:
    if wrong == not_finite:
        return (
            f"{percent(share)} of the advantages are not a number: one of them is enough to turn"
            " every weight into NaN."
        )
    text = (
        f"{percent(share)} of the advantages do not follow from the rewards of their group,"
        " so rollouts are praised or blamed for what others did"
    )
    if opposite:
        text += f"; {opposite:,} even push the wrong way"
    return f"{text}."


def _remedy(*, not_finite: bool, others: bool) -> str:
    steps = []
    if others:
        steps.append(
            "keep rewards and rollouts in one order until the advantages are computed (a shuffle, a"
            " gather over ranks or a regrouping between the two breaks it), and group by prompt"
        )
    if not_finite:
        steps.append(
            "give every rollout a finite reward, groups of two or more, and an epsilon beside the"
            " standard deviation"
        )
    return f"{listed(steps)}."
