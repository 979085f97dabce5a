"""Are right answers lost because of the form in which they are given?"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.analysis.statistics import Share, Side, share
from rlvr.analysis.within import FLAT_SPREAD
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
from rlvr.diagnosis.forms import Form, FormedAnswer, asked_forms, formed_answer
from rlvr.diagnosis.habits import dated, first_recent_step
from rlvr.diagnosis.thresholds import COSTLY_HABIT, LARGE_MAJORITY

CODE = "answer-not-parsed"

_NEEDS = "the messages of rollouts that answer with the reference"


@dataclass(frozen=True, kw_only=True)
class _Lost:
    """Right answers of the last steps, by their form.

    `right` are all that were looked into, `unread` those among them that get the outcome's lowest
    value in a form that is neither asked for nor rewarded. `wanted` are the forms that are.
    """

    outcome: str
    right: Sequence[FormedAnswer]
    unread: Sequence[FormedAnswer]
    wanted: frozenset[Form]
    share: Share
    empty: Mask
    never: bool


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Answers that are the reference and get nothing, for want of a tag, a box or a `</think>`."""
    outcome, rollouts = evidence.signal.outcome, evidence.rollouts
    if outcome is None:
        because = "no weighted component says whether an answer is right"
        return (Unknown(code=CODE, because=because, needs="components and their weights"),)
    if not rollouts.known("derived_reference_in_answer").any():
        because = "no rollout has a reference answer to compare with"
        return (Unknown(code=CODE, because=because, needs="reference answers in the dataset"),)
    if not evidence.contents:
        because = "no messages are there to look for an answer in"
        return (Unknown(code=CODE, because=because, needs=_NEEDS),)
    return (_judged(evidence, _lost(evidence, outcome)),)


def _lost(evidence: RunEvidence, outcome: str) -> _Lost:
    rollouts = evidence.rollouts
    values = rollouts.component(outcome)
    finite = np.isfinite(values)
    low = float(values[finite].min()) if finite.any() else 0.0
    low = min(low, 0.0) if low < 1.0 - FLAT_SPREAD else -np.inf
    since = first_recent_step(evidence)
    answers = [found for t in evidence.contents if (found := formed_answer(t, outcome)) is not None]
    wanted = asked_forms(evidence.contents) | _rewarded(answers, low)
    right = [answer for answer in answers if answer.step >= since]
    unread = [
        answer
        for answer in right
        if answer.value <= low + FLAT_SPREAD and answer.form not in wanted
    ]
    empty = finite & (values <= low + FLAT_SPREAD)
    return _Lost(
        outcome=outcome,
        right=right,
        unread=unread,
        wanted=wanted,
        share=share(len(unread), len(right), clusters=len({answer.group for answer in right})),
        empty=empty,
        never=bool(empty[finite & rollouts.recent].all()),
    )


def _rewarded(answers: Sequence[FormedAnswer], low: float) -> frozenset[Form]:
    """The forms in which at least half of the right answers get something."""
    seen = Counter(answer.form for answer in answers)
    scored = Counter(answer.form for answer in answers if answer.value > low + FLAT_SPREAD)
    return frozenset(form for form in seen if 2 * scored[form] >= seen[form])


def _judged(evidence: RunEvidence, found: _Lost) -> Outcome:
    if not found.right:
        return Unknown(
            code=CODE,
            because=f"none of {counted(len(evidence.contents), 'rollout')} looked into answers with"
            " the reference and nothing else",
            needs=_NEEDS,
        )
    if found.unread and not found.wanted:
        return Unknown(
            code=CODE,
            because=f"{found.outcome} gives nothing to any right answer, and no prompt asks for a"
            " form, so nobody can tell which one it would take",
            needs="a prompt that asks for a form, or a rollout that is rewarded",
        )
    side = found.share.side(COSTLY_HABIT)
    if side is Side.ABOVE:
        return _finding(evidence, found)
    if side is Side.BELOW or not found.unread:
        return Healthy(
            code=CODE,
            sentence=f"{counted(len(found.right), 'right answer')} looked into,"
            f" {percent(found.share.value) if found.unread else 'none'} of them lost for its form",
        )
    return Unknown(
        code=CODE,
        because=f"{len(found.unread)} of {counted(len(found.right), 'right answer')} looked into"
        f" get nothing for their form: too few to tell that from {percent(COSTLY_HABIT)}",
        needs="more steps",
    )


def _finding(evidence: RunEvidence, found: _Lost) -> Finding:
    rollouts = evidence.rollouts
    unseen = _unseen(evidence, found)
    gives = evidence.signal.gives_gradient
    forms = Counter(_named(answer) for answer in found.unread)
    most = found.share.side(LARGE_MAJORITY) is Side.ABOVE
    stating = rollouts.is_true("derived_reference_in_answer")
    places = {
        answer.id: Example(id=answer.id, why=f"the answer stands {answer.form}", turn=answer.turn)
        for answer in found.unread
    }
    return Finding(
        code=CODE,
        severity=Severity.ERROR if most and found.never else Severity.WARNING,
        sentence=_sentence(found, forms),
        rollouts=len(rollouts),
        lost=int((unseen & ~gives).sum()),
        corrupted=int((unseen & gives).sum()),
        numbers=(
            Number(name="right answers looked into", value=len(found.right), unit="rollouts"),
            Number(name="of them lost for their form", value=found.share.value, unit="share"),
            *(
                Number(name=f"lost answers that stand {form}", value=count, unit="rollouts")
                for form, count in forms.most_common()
            ),
        ),
        plot=Plot(
            title=f"rollouts that end with the reference and get nothing of {found.outcome}",
            series={"share": rollouts.by_step(found.empty, stating)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            _among(evidence, set(places)),
            why="a right answer that was not read",
            locate=places,
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="`rlvr show RUN ID` of an example: write its answer in the form that is asked"
        " for and score it by hand. If it gets nothing there either, its form is not the reason.",
        remedy=f"ask for the form in the prompt with an example, let the scorer take"
        f" {listed([form.value for form in _forms(found.unread)])} too, or begin with a short"
        " supervised warm start on the form; where thinking is never closed, raise the length limit"
        " or read the answer from what follows the last </think> only if there is one.",
        since_step=dated(rollouts, found.empty, max(COSTLY_HABIT, found.share.value / 2), stating),
    )


def _unseen(evidence: RunEvidence, found: _Lost) -> Mask:
    """The rollouts that lost a right answer so: all that state it and got nothing where nearly all
    of these that were looked into did for their form, else those looked into alone."""
    rollouts, since = evidence.rollouts, first_recent_step(evidence)
    stating = rollouts.is_true("derived_reference_in_answer") & found.empty
    known = _among(evidence, {answer.id for answer in found.unread})
    looked = stating & _among(evidence, {t.id for t in evidence.contents if t.step >= since})
    whole = looked.any() and (known & looked).sum() > LARGE_MAJORITY * looked.sum()
    return np.asarray(stating | known if whole else known)


def _among(evidence: RunEvidence, ids: Set[str | None]) -> Mask:
    """The rollouts with one of these ids. Shape (rollouts,)."""
    return np.array([id in ids for id in evidence.rollouts.ids], dtype=np.bool_)


def _forms(answers: Sequence[FormedAnswer]) -> list[Form]:
    return [form for form, _ in Counter(answer.form for answer in answers).most_common()]


def _named(answer: FormedAnswer) -> str:
    return f"in <{answer.tag}>" if answer.form is Form.OTHER_TAG else answer.form.value


def _sentence(found: _Lost, forms: Counter[str]) -> str:
    form, count = forms.most_common(1)[0]
    where = f"they stand {form}" if len(forms) == 1 else f"{count:,} of them stand {form}"
    wanted = listed([form.value for form in Form if form in found.wanted])
    return (
        f"{len(found.unread):,} of {counted(len(found.right), 'right answer')} that were looked"
        f" into get nothing from {found.outcome} for their form: {where}, and it is read {wanted}."
    )


_LOOKALIKES = (
    LookAlike(
        what="a scorer that gives everything nothing",
        told_apart_by="then right answers in the form that is asked for get nothing too"
        " (scorer-silent)",
    ),
    LookAlike(
        what="answers that name the reference among other words",
        told_apart_by="only answers that are the reference word for word count here",
    ),
    LookAlike(
        what="answers that are cut at a length limit",
        told_apart_by="their last turn ends by length (truncation); a <think> that is never closed"
        " is often both",
    ),
)
