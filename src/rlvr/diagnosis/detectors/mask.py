"""Does the loss cover what the policy wrote, all of it and nothing else?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.diagnosis.detectors.defects import end_of_defect, severity_of_defect
from rlvr.diagnosis.detectors.wording import counted, listed, percent
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
    Severity,
    Unknown,
)
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.record import Trajectory

CODE = "mask-on-wrong-roles"

_ROLES = {"prompt": "the prompt", "environment": "tool results and turn headers"}

_LOOKALIKES = (
    LookAlike(
        what="a rollout that was cut at a length limit and masked whole",
        told_apart_by="`truncated` is true and `trained_tokens` is 0 there; it is lost, not"
        " corrupted, and counted under truncation",
    ),
    LookAlike(
        what="a loss that leaves tokens out on purpose: only the tokens of highest entropy, or none"
        " whose sampler and trainer disagree",
        told_apart_by="the tokens left out follow entropy or gap and lie scattered in a turn; a"
        " wrong mask leaves out whole turns, or the same place in each",
    ),
)


@dataclass(frozen=True, kw_only=True)
class _Wrong:
    """Rollouts with foreign tokens in the loss, with own tokens outside of it, with nothing in it
    although the policy wrote something and no limit cut it, and with a mask that is longer or
    shorter than the ids. Shape (rollouts,) each."""

    foreign: Mask
    left_out: Mask
    nothing: Mask
    other_length: Mask

    @property
    def any(self) -> Mask:
        return self.foreign | self.left_out | self.nothing | self.other_length


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts whose loss mask is not that of the sampled tokens."""
    rollouts = evidence.rollouts
    known = rollouts.known("trained_unsampled_tokens") & rollouts.known("sampled_untrained_tokens")
    wrong = _wrong(evidence)
    known |= wrong.other_length
    judged = int(known.sum())
    if not judged:
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded which tokens have a loss",
                needs="a run recorded by a trainer of rlvr.trainers",
            ),
        )
    if not (known & wrong.any).any():
        return (
            Healthy(
                code=CODE,
                sentence="the loss covers exactly what the policy wrote in all"
                f" {counted(judged, 'rollout')} that recorded it",
            ),
        )
    return (_finding(evidence, wrong, int(wrong.any.sum()) / judged),)


def _wrong(evidence: RunEvidence) -> _Wrong:
    rollouts = evidence.rollouts
    trained = rollouts.numbers("trained_tokens")
    unequal = {t.id for t in evidence.details if t.id is not None and _other_length(t) is not None}
    masked_whole = trained == 0
    return _Wrong(
        foreign=rollouts.numbers("trained_unsampled_tokens") > 0,
        left_out=rollouts.left_out & ~masked_whole,
        nothing=masked_whole
        & (rollouts.numbers("sampled_tokens") > 0)
        & ~rollouts.is_true("truncated"),
        other_length=(trained > rollouts.numbers("sequence_tokens")) | rollouts.among(unequal),
    )


def _other_length(trajectory: Trajectory) -> tuple[int, int, str] | None:
    """The first sequence whose mask has another length than its ids: its number, the first place
    that only one of the two has, and why it is wrong."""
    for number, sequence in enumerate(trajectory.tokens.sequences if trajectory.tokens else ()):
        mask, ids = len(sequence.loss_mask), len(sequence.ids)
        if mask != ids:
            return number, max(min(mask, ids) - 1, 0), f"a loss mask of {mask:,} for {ids:,} tokens"
    return None


def _finding(evidence: RunEvidence, wrong: _Wrong, share: float) -> Finding:
    rollouts, signal = evidence.rollouts, evidence.signal
    chosen = evidence.setting("mask_env_responses") is False
    only_by_setting = chosen and not (wrong.left_out | wrong.nothing | wrong.other_length).any()
    severity = severity_of_defect(rollouts, wrong.any, share)
    return Finding(
        code=CODE,
        severity=Severity.WARNING if only_by_setting else severity,
        sentence=_sentence(evidence, wrong, share, chosen=chosen)
        + end_of_defect(rollouts, wrong.any),
        rollouts=len(rollouts),
        lost=int((wrong.nothing & ~signal.gives_gradient).sum()),
        corrupted=int(
            (signal.concerned(Reason.MASK) | (wrong.other_length & signal.gives_gradient)).sum()
        ),
        numbers=_numbers(rollouts, wrong, share),
        plot=Plot(
            title="share of the tokens with a loss that nobody sampled, and of the sampled without",
            series={
                "not sampled, in the loss": rollouts.by_step(
                    _part(rollouts, "trained_unsampled_tokens", "trained_tokens")
                ),
                "sampled, not in the loss": rollouts.by_step(
                    _part(rollouts, "sampled_untrained_tokens", "sampled_tokens")
                ),
            },
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            wrong.any,
            why="its loss mask is not that of the sampled tokens",
            locate=_first_wrong(evidence.details),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="open an example at the token (`rlvr show RUN ID --token K`): the finding is"
        " wrong if each token with a loss belongs to the assistant, and each of the assistant's"
        " has one. `rlvr preflight` checks the mask by role before the first step.",
        remedy=_remedy(wrong, chosen=chosen),
        since_step=int(rollouts.step[wrong.any].min()),
    )


def _sentence(evidence: RunEvidence, wrong: _Wrong, share: float, *, chosen: bool) -> str:
    roles = [
        text for role, text in _ROLES.items() if _loss_by_role(evidence.details).get(role, 0) > 0
    ]
    parts = []
    if wrong.foreign.any():
        what = listed(roles) if roles else "tokens that it did not write (prompt or tool results)"
        because = ", because mask_env_responses is false" if chosen else ""
        parts.append(f"the policy is trained to write {what}{because}")
    if wrong.left_out.any():
        parts.append("some of what it wrote has no loss and is never judged")
    if wrong.nothing.any():
        parts.append("rollouts that no limit cut have no loss at all")
    if wrong.other_length.any():
        parts.append("mask and tokens differ in length, so that nobody knows which belong together")
    return f"The loss is on the wrong tokens in {percent(share)} of the rollouts: {listed(parts)}."


def _numbers(rollouts: Rollouts, wrong: _Wrong, share: float) -> tuple[Number, ...]:
    foreign = _part(rollouts, "trained_unsampled_tokens", "trained_tokens")[wrong.foreign]
    left_out = _part(rollouts, "sampled_untrained_tokens", "sampled_tokens")[wrong.left_out]
    numbers = [Number(name="rollouts with a wrong mask", value=share, unit="share")]
    for name, values in (
        ("of their loss on tokens nobody sampled", foreign[~np.isnan(foreign)]),
        ("of their sampled tokens without a loss", left_out[~np.isnan(left_out)]),
    ):
        if values.size:
            numbers.append(Number(name=name, value=float(values.mean()), unit="share"))
    if wrong.nothing.any():
        empty = int(wrong.nothing.sum())
        numbers.append(Number(name="without any loss", value=empty, unit="rollouts"))
    if wrong.other_length.any():
        count = int(wrong.other_length.sum())
        numbers.append(Number(name="mask of another length", value=count, unit="rollouts"))
    return tuple(numbers)


def _remedy(wrong: _Wrong, *, chosen: bool) -> str:
    steps = []
    if wrong.foreign.any():
        steps.append(
            "set mask_env_responses=True"
            if chosen
            else "give prompt, tool results and turn headers a loss mask of 0"
        )
    if (wrong.left_out | wrong.nothing).any():
        steps.append("give every sampled token a loss mask of 1, its end-of-turn token included")
    if wrong.other_length.any():
        steps.append("build the mask with the ids, token by token, and cut both at one place")
    return (
        f"{listed(steps)}. EnhancedGRPOTrainer builds the mask from the sampled ids with the repair"
        ' `sampled_tokens` (repairs="all").'
    )


def _part(rollouts: Rollouts, part: str, whole: str) -> Floats:
    """One count divided by another, NaN where there is nothing to divide by."""
    above, below = rollouts.numbers(part), rollouts.numbers(whole)
    ratio = np.full(len(rollouts), np.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio


def _loss_by_role(details: Sequence[Trajectory]) -> Counter[str]:
    """Tokens with a loss, by the role that wrote them."""
    counts: Counter[str] = Counter()
    for trajectory in details:
        for sequence in trajectory.tokens.sequences if trajectory.tokens else ():
            for span in sequence.spans:
                counts[span.role] += sum(sequence.loss_mask[span.start : span.stop])
    return counts


def _first_wrong(details: Sequence[Trajectory]) -> dict[str, Example]:
    """The first token of each whose loss is wrong, by id."""
    places = {}
    for trajectory in details:
        place = _other_length(trajectory) or next(_wrong_tokens(trajectory), None)
        if trajectory.id is not None and place is not None:
            number, token, why = place
            places[trajectory.id] = Example(id=trajectory.id, why=why, token=token, sequence=number)
    return places


def _wrong_tokens(trajectory: Trajectory) -> Iterator[tuple[int, int, str]]:
    for number, sequence in enumerate(trajectory.tokens.sequences if trajectory.tokens else ()):
        for span in sequence.spans:
            own = span.role == "assistant"
            for token in range(span.start, span.stop):
                if bool(sequence.loss_mask[token]) is not own:
                    text = "sampled, but without a loss" if own else f"{span.role}, with a loss"
                    yield number, token, text
