"""The verdict on a run, made beside the pages: one of the questions that read a whole run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rlvr.diagnosis import (
    Fate,
    Reason,
    RunEvidence,
    Verdict,
    compare_with,
    diagnose,
    load_evidence,
)
from rlvr.diagnosis.fates import share_by_step
from rlvr.questions.reading import MOST_MEMBERS
from rlvr.runs import Run
from rlvr.viewer.answers import Answer
from rlvr.viewer.desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What is judged: the training from a step on, what passes a filter, beside an evaluation."""

    since: int | None = None
    where: str | None = None
    beside: Desk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict with what its pages list beside it.

    `members` has the first rollouts of each line of the ledger, the newest first;
    `sound_by_step` the share of each step that reached the gradient sound.
    """

    verdict: Verdict
    members: Mapping[Reason, tuple[str, ...]] = field(default_factory=dict)
    sound_by_step: tuple[tuple[int, float], ...] = ()


EVERYTHING = Judging()


def verdict_of(desk: Desk, *, patience_s: float = 0.3) -> Answer[Verdict]:
    """What is known of it by now; of a run being trained the last verdict, until a newer is made.

    Raises:
        RlvrError: the run can't be judged.
    """
    answer = judged_of(desk, patience_s=patience_s)
    known = None if answer.value is None else answer.value.verdict
    return Answer(value=known, current=answer.current)


def judged_of(
    desk: Desk, asked: Judging = EVERYTHING, *, patience_s: float = 0.3
) -> Answer[Judged]:
    """The verdict on what is asked, with its ledger's rollouts, as far as it is known by now.

    Raises:
        RlvrError: it can't be judged.
    """
    beside = asked.beside
    named = "" if beside is None else beside.name
    return desk.whole(
        f"verdict {asked.since} {named} {asked.where or ''}",
        judged_alone if beside is None else judged_beside,
        asked.since,
        asked.where,
        (desk.argument, (beside or desk).argument),
        beside=beside,
        patience_s=patience_s,
    )


def judged_alone(run: Run, since: int | None, where: str | None, called: tuple[str, str]) -> Judged:
    """The verdict on a run, beside its own evaluations; `called` is how commands name the two."""
    return _judged(run, None, since, where, called)


def judged_beside(
    run: Run, evaluation: Run, since: int | None, where: str | None, called: tuple[str, str]
) -> Judged:
    """The verdict on a run beside an evaluation that is a run of its own."""
    return _judged(run, evaluation.reopened(), since, where, called)


def _judged(
    run: Run, evaluation: Run | None, since: int | None, where: str | None, called: tuple[str, str]
) -> Judged:
    own = run if where is None else run.reopened()
    evidence = load_evidence(own, since=since, where=where)
    parity = compare_with(own, evaluation, since=since, where=where, called=called)
    return Judged(
        verdict=diagnose(replace(evidence, parity=parity)),
        members=_members(evidence),
        sound_by_step=tuple(share_by_step(evidence, Fate.SOUND)),
    )


def _members(evidence: RunEvidence) -> dict[Reason, tuple[str, ...]]:
    deciding, ids = evidence.signal.deciding, evidence.rollouts.ids
    found = {}
    for place, reason in enumerate(Reason):
        rows = np.flatnonzero(deciding == place)[::-1][:MOST_MEMBERS]
        if rows.size:
            found[reason] = tuple(str(ids[row]) for row in rows)
    return found
