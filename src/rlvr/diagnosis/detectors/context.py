"""Does the trainer's attention see the context that the policy answered?"""

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.diagnosis.detectors.defects import end_of_defect, severity_of_defect
from rlvr.diagnosis.detectors.wording import counted, in_rollouts, listed
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import (
    Example,
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Plot,
    Unknown,
)
from rlvr.diagnosis.ledger import Reason

CODE = "context-not-attended"
_LOOKALIKES = (
    LookAlike(
        what="padding, which attention rightly skips",
        told_apart_by="the share is of non-padding tokens only",
    ),
    LookAlike(
        what="training tokens that are not the sampled ones",
        told_apart_by="that shows in the ids (tokens-not-sampled), this in the mask; both make the"
        " trainer's logprobs differ from the sampler's",
    ),
)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts of which some non-padding token is masked out of attention."""
    known = ~np.isnan(evidence.rollouts.numbers("attended_share"))
    learnt = known & (evidence.rollouts.numbers("trained_tokens") != 0)
    judged = int(learnt.sum())
    if not judged:
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded which tokens attention could see",
                needs="a run recorded by a trainer of rlvr.trainers",
            ),
        )
    blind = evidence.signal.holds[Reason.CONTEXT]
    if not blind.any():
        return (
            Healthy(
                code=CODE,
                sentence="attention saw every token of all"
                f" {counted(judged, 'rollout')} that recorded it"
                f"{' and have a loss' if judged < known.sum() else ''}",
            ),
        )
    return (_finding(evidence, blind, judged=judged),)


def _finding(evidence: RunEvidence, blind: Mask, *, judged: int) -> Finding:
    rollouts = evidence.rollouts
    affected = int(blind.sum())
    unseen = 1 - rollouts.numbers("attended_share")
    hidden = {
        who: int(np.nansum(rollouts.numbers(f"unattended_{who}_tokens")))
        for who in ("prompt", "environment", "sampled")
    }
    numbers = (
        Number(name="rollouts with hidden tokens", value=affected / judged, unit="share"),
        Number(name="tokens hidden in them", value=float(unseen[blind].mean()), unit="share"),
        *(Number(name=f"hidden {who} tokens", value=hidden[who], unit="tokens") for who in hidden),
    )
    return Finding(
        code=CODE,
        severity=severity_of_defect(rollouts, blind, affected / judged),
        sentence=in_rollouts(affected, judged=judged, of=len(rollouts))
        + _sentence(hidden)
        + end_of_defect(rollouts, blind),
        rollouts=len(rollouts),
        corrupted=int(evidence.signal.concerned(Reason.CONTEXT).sum()),
        numbers=numbers,
        plot=Plot(
            title="share of the tokens that attention could not see",
            series={"hidden": rollouts.by_step(unseen)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            blind,
            order=-unseen,
            why="its context is hidden from the trainer",
            locate=_first_hidden(evidence),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="swap the prompt of a rollout for another one and compute the trainer's"
        " logprobs again: if they move, the context is seen. `rlvr preflight` does it.",
        remedy="give the trainer an attention mask of ones over all real tokens and keep the"
        " loss mask apart from it: in EnhancedGRPOTrainer the repair `attention`"
        ' (repairs="all").',
        since_step=int(rollouts.step[blind].min()),
    )


def _sentence(hidden: dict[str, int]) -> str:
    names = {"prompt": "the prompt", "environment": "tool results", "sampled": "sampled tokens"}
    seen_by = [names[who] for who, count in hidden.items() if count] or ["part of the context"]
    return (
        f" the trainer could not see {listed(seen_by)}: it raised or lowered"
        " the probability of answers without seeing what they answer."
    )


def _first_hidden(evidence: RunEvidence) -> dict[str, Example]:
    """The first hidden token of each rollout with token details, by id."""
    places = {}
    for trajectory in evidence.details:
        for number, sequence in enumerate(trajectory.tokens.sequences if trajectory.tokens else ()):
            if sequence.attended is None or trajectory.id is None or trajectory.id in places:
                continue
            token = next((at for at, seen in enumerate(sequence.attended) if not seen), None)
            if token is not None:
                places[trajectory.id] = Example(
                    id=trajectory.id, why="", token=token, sequence=number
                )
    return places
