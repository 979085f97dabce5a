"""Does a tool call earn more than a right answer?"""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import Share, Side, Z, bend, share
from rlvr.analysis.within import FLAT_SPREAD, deviations, share_of
from rlvr.diagnosis.changes import Change, change, change_between
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
from rlvr.diagnosis.habits import dated
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import DECIDES, HACKED, PAYS_CALLS

CODE = "calls-outweigh-answer"


@dataclass(frozen=True, kw_only=True)
class _Pay:
    """What calls earn beside right answers, in the last steps.

    `payers` are the components that rise with the calls of a rollout within its group. `theirs` is
    the part that they decide of the signs decided by them or the outcome. `inverted` is the share
    of the groups with right and wrong rollouts in which the wrong ones earn more on average.
    `calls`, `answers`, and what both add to the reward, `paid` and `earned`, are None where the run
    is too short to compare. `rising_since` is the step at which calls begin to rise, and
    `answers_since` how right answers changed from the first half of the steps after it to the
    second.
    """

    outcome: str
    payers: tuple[str, ...]
    deciders: Deciders
    theirs: Share
    inverted: Share
    calls: Change | None
    answers: Change | None
    paid: Change | None
    earned: Change | None
    rising_since: int | None
    answers_since: Change | None

    @property
    def outweighs(self) -> bool:
        """Whether calls are proven to decide more than right answers do."""
        return Side.ABOVE in (self.theirs.side(DECIDES), self.inverted.side(DECIDES))

    @property
    def drifts(self) -> bool:
        """Whether calls are proven to rise and right answers are not, or not any more."""
        if self.calls is None or not self.calls.rises:
            return False
        return self.answers is None or not self.answers.rises or self.stalls

    @property
    def stalls(self) -> bool:
        """Whether right answers rose before calls did, and not since; and calls add more than twice
        to the reward of what right answers can have added to it."""
        if self.answers_since is None or self.paid is None or self.earned is None:
            return False
        return not self.answers_since.rises and self.earned.high < HACKED * self.paid.size


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Components that pay for calls, and decide more advantages than the outcome does."""
    rollouts = evidence.rollouts
    outcome = evidence.signal.outcome
    if outcome is None:
        return (
            Unknown(
                code=CODE,
                because="no weighted component says whether an answer is right",
                needs="components and their weights",
            ),
        )
    calls = rollouts.numbers("derived_num_tool_calls")
    if not np.nan_to_num(calls).any():
        return (Healthy(code=CODE, sentence="no rollout calls a tool, so none is paid for it"),)
    deciders = Deciders.of(evidence)
    payers = _payers(deciders, outcome, deviations(calls, rollouts.group))
    if not payers:
        sentence = "no weighted component rises with the number of calls within groups"
        return (Healthy(code=CODE, sentence=sentence),)
    return (_judged(evidence, _pay(evidence, outcome, payers, deciders)),)


def _payers(deciders: Deciders, outcome: str, calls: Floats) -> tuple[str, ...]:
    """The components other than the outcome that rise with the calls within groups."""
    found = []
    for name, deviation in deciders.deviations.items():
        scale = float(np.sqrt((deviation**2).sum() * (calls**2).sum()))
        if name != outcome and scale > 0 and float(deviation @ calls) / scale > PAYS_CALLS:
            found.append(name)
    return tuple(found)


def _pay(evidence: RunEvidence, outcome: str, payers: tuple[str, ...], deciders: Deciders) -> _Pay:
    rollouts = evidence.rollouts
    rivals = deciders.by(*payers, outcome) & rollouts.recent
    calls, answers = rollouts.numbers("derived_num_tool_calls"), rollouts.component(outcome)
    rising_since = bend(rollouts.by_step(calls))
    return _Pay(
        outcome=outcome,
        payers=payers,
        deciders=deciders,
        theirs=share_of(deciders.by(*payers), rivals, rollouts.group, z=Z),
        inverted=_inverted(evidence, outcome),
        calls=change(rollouts, calls),
        answers=change(rollouts, answers),
        paid=change(rollouts, _added(evidence, *payers)),
        earned=change(rollouts, _added(evidence, outcome)),
        rising_since=rising_since,
        answers_since=_halves(rollouts, answers, rising_since),
    )


def _added(evidence: RunEvidence, *names: str) -> Floats:
    """What the components add to the reward of each rollout."""
    weights = evidence.signal.weights
    parts = [weights.get(name, 0.0) * evidence.rollouts.component(name) for name in names]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def _halves(rollouts: Rollouts, values: Floats, since: int | None) -> Change | None:
    """How the values change from the first to the second half of the steps from `since` on."""
    steps = rollouts.steps[rollouts.steps >= since] if since is not None else rollouts.steps[:0]
    if not len(steps):
        return None
    middle = steps[len(steps) // 2]
    first = (rollouts.step >= steps[0]) & (rollouts.step < middle)
    return change_between(rollouts, values, first, rollouts.step >= middle)


def _inverted(evidence: RunEvidence, outcome: str) -> Share:
    """Of the recent groups with right and wrong rollouts, those whose wrong ones earn more."""
    rollouts = evidence.rollouts
    values, reward = rollouts.component(outcome), rollouts.numbers("reward")
    used = rollouts.recent & np.isfinite(values) & np.isfinite(reward)
    best = np.full(len(rollouts.groups), -np.inf)
    np.maximum.at(best, rollouts.group[used], values[used])
    right = used & (values >= best[rollouts.group] - FLAT_SPREAD)
    earned = [_mean_by_group(evidence, reward, where) for where in (right, used & ~right)]
    mixed = np.isfinite(earned[0]) & np.isfinite(earned[1])
    worse = mixed & (earned[1] > earned[0] + FLAT_SPREAD)
    return share(int(worse.sum()), int(mixed.sum()))


def _mean_by_group(evidence: RunEvidence, values: Floats, where: Mask) -> Floats:
    """The mean of each group's rollouts there, NaN without one."""
    group, count = evidence.rollouts.group[where], len(evidence.rollouts.groups)
    totals = np.bincount(group, weights=values[where], minlength=count)
    counts = np.bincount(group, minlength=count)
    means = np.full(count, np.nan)
    np.divide(totals, counts, out=means, where=counts > 0)
    return means


def _judged(evidence: RunEvidence, pay: _Pay) -> Outcome:
    against = pay.inverted.side(DECIDES) is Side.ABOVE
    if pay.outweighs and (pay.drifts or against):
        learns = pay.answers is not None and pay.answers.rises
        severity = Severity.ERROR if against and not learns else Severity.WARNING
        return _finding(evidence, pay, severity)
    names = listed(pay.payers)
    if pay.outweighs and pay.calls is None:
        return Unknown(
            code=CODE,
            because=f"{names} decides more advantages than {pay.outcome}, but the run is too short"
            " to tell whether calls rise",
            needs="more steps: twenty groups before the last ten steps, and twenty in these",
        )
    if pay.drifts and pay.theirs.side(DECIDES) is Side.UNSURE and pay.theirs.trials:
        return Unknown(
            code=CODE,
            because=f"calls rise and right answers do not, but the groups of the last steps are too"
            f" few to tell whether {names} decides more signs than {pay.outcome}"
            f" ({percent(pay.theirs.value)})",
            needs="more steps",
        )
    if not pay.theirs.trials:
        return Healthy(
            code=CODE, sentence=f"in the last steps {names} decides the sign of no advantage"
        )
    said = f"{names} rises with the calls and decides {percent(pay.theirs.value)} of the signs"
    said += f" that it or {pay.outcome} decides"
    return Healthy(code=CODE, sentence=said)


def _finding(evidence: RunEvidence, pay: _Pay, severity: Severity) -> Finding:
    rollouts = evidence.rollouts
    calls = rollouts.numbers("derived_num_tool_calls")
    theirs = pay.deciders.by(*pay.payers)
    return Finding(
        code=CODE,
        severity=severity,
        sentence=_sentence(pay),
        rollouts=len(rollouts),
        numbers=(
            Number(name="signs decided by pay for calls now", value=pay.theirs.value, unit="share"),
            Number(
                name="groups whose wrong rollouts earn more", value=pay.inverted.value, unit="share"
            ),
            *(
                number
                for moved, name, unit in (
                    (pay.calls, "calls of a rollout", "calls"),
                    (pay.answers, pay.outcome, ""),
                )
                if moved is not None
                for number in (
                    Number(name=f"{name}, first third", value=moved.early, unit=unit),
                    Number(name=f"{name} now", value=moved.now, unit=unit),
                )
            ),
        ),
        plot=Plot(
            title="calls of a rollout, and the outcome",
            series={
                "calls": rollouts.by_step(calls),
                pay.outcome: rollouts.by_step(rollouts.component(pay.outcome)),
            },
        ),
        examples=examples_of(
            rollouts,
            theirs & rollouts.recent & (rollouts.numbers("advantage") > 0),
            why="praised for its calls",
            order=np.nan_to_num(rollouts.component(pay.outcome)) - 1e-3 * np.nan_to_num(calls),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="`rlvr show RUN GROUP` of an example's group: if its right rollouts earn more"
        " than its wrong ones, and so in most groups, the finding is wrong.",
        remedy=f"pay for calls only where the answer is right, cap what {listed(pay.payers)} can"
        f" add below the weight of {pay.outcome}, or drop it once the tool is used at all.",
        since_step=_since(evidence, pay),
    )


def _since(evidence: RunEvidence, pay: _Pay) -> int | None:
    """The step at which calls begin to rise, or since which they decide where they do not."""
    rollouts = evidence.rollouts
    if pay.drifts:
        return pay.rising_since
    rivals = pay.deciders.by(*pay.payers, pay.outcome)
    theirs = pay.deciders.by(*pay.payers)
    return dated(rollouts, theirs, DECIDES, rivals)


def _sentence(pay: _Pay) -> str:
    names = listed(pay.payers)
    text = (
        f"Calls earn more than right answers: {names} decides {percent(pay.theirs.value)} of the"
        f" signs that it or {pay.outcome} decides"
    )
    if pay.inverted.trials:
        text += (
            f", and in {percent(pay.inverted.value)} of the groups with right and wrong rollouts"
            " the wrong ones earn more"
        )
    if pay.drifts and pay.calls is not None and pay.answers is not None:
        text += (
            f"; calls rose from {pay.calls.early:.1f} to {pay.calls.now:.1f} a rollout,"
            f" {pay.outcome} went from {pay.answers.early:.2f} to {pay.answers.now:.2f}"
        )
        if pay.answers.rises:
            text += (
                f", and is not proven to rise since step {pay.rising_since}, when calls began to"
            )
    return f"{text}."


_LOOKALIKES = (
    LookAlike(
        what="a task that needs more calls, and learns to make them",
        told_apart_by="then right answers rise with the calls, and right rollouts earn more than"
        " wrong ones of their group",
    ),
    LookAlike(
        what="pay for useful calls, such as the recall of a search",
        told_apart_by=f"its correlation with the number of calls is below {PAYS_CALLS:g}: a useless"
        " call adds nothing",
    ),
    LookAlike(
        what="longer episodes for other reasons, such as tools that fail and are asked again",
        told_apart_by="the reward does not rise with them, and tool-fails or turn-limit say so",
    ),
)
