"""Do episodes reach an answer before the turn limit?"""

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import Finding, Healthy, LookAlike, Number, Outcome, Plot, Unknown
from rlvr.diagnosis.habits import (
    Habit,
    Standing,
    habit,
    last_turn,
    lost,
    mean_reward,
    percent,
    rewards_apart,
    severity,
    since_step,
)
from rlvr.diagnosis.thresholds import COSTLY_HABIT

CODE = "turn-limit"


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts that stopped at the turn limit with a call still open."""
    rollouts = evidence.rollouts
    left_open, seen = _by_messages(evidence)
    known = rollouts.known("stop_reason") | seen
    if not known.any():
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded why it stopped, and none was read to its last message",
                needs="stop_reason, which rlvr's trainers record",
            ),
        )
    hits = rollouts.equals("stop_reason", "max_turns") | left_open
    found = habit(rollouts, hits, known)
    standing = found.standing(COSTLY_HABIT)
    if standing is Standing.UNSURE:
        return (found.unknown(CODE, "rollouts ended at the turn limit", COSTLY_HABIT),)
    if standing is Standing.RARE:
        return (
            Healthy(
                code=CODE,
                sentence=f"{found.of('rollouts')} end at the turn limit",
                numbers=found.numbers("rollouts at the turn limit"),
            ),
        )
    return (_finding(evidence, found, standing, hits, known),)


def _by_messages(evidence: RunEvidence) -> tuple[Mask, Mask]:
    """Which rollouts without a stop reason end with a call, at the limit where there is one, and
    which were read to their last message. Only runs whose calls are answered by messages tell."""
    rollouts, limit = evidence.rollouts, evidence.limit("max_turns")
    silent = ~rollouts.known("stop_reason")
    told = [t for t in evidence.contents if t.id is not None and t.completion]
    if not any(message.role == "tool" for t in told for message in t.completion):
        nobody = np.zeros(len(rollouts), np.bool_)
        return nobody, nobody
    calling = rollouts.among({t.id for t in told if t.id and t.completion[-1].tool_calls})
    if limit is not None:
        calling &= rollouts.numbers("derived_num_turns") >= limit
    return silent & calling, silent & rollouts.among({t.id for t in told if t.id})


def _finding(
    evidence: RunEvidence, found: Habit, standing: Standing, hits: Mask, known: Mask
) -> Finding:
    rollouts = evidence.rollouts
    span = rollouts.recent if standing is not Standing.HEALED else ~rollouts.recent
    turns = rollouts.numbers("derived_num_turns")
    others = span & ~hits & known & np.isfinite(turns)
    by_reason = rollouts.equals("stop_reason", "max_turns").any()
    return Finding(
        code=CODE,
        severity=severity(evidence, standing, hits & span),
        sentence=_sentence(evidence, found, standing, hits & span, others)
        + ("" if by_reason else " No stop reason is recorded: their last messages tell."),
        rollouts=len(rollouts),
        lost=lost(evidence, hits),
        numbers=(
            *found.numbers("rollouts at the turn limit"),
            Number(name="max_turns", value=evidence.limit("max_turns"), unit="turns"),
            Number(
                name="turns of the others, median",
                value=float(np.median(turns[others])) if others.any() else None,
                unit="turns",
            ),
            Number(name="mean reward, at the limit", value=mean_reward(evidence, hits & span)),
            Number(name="mean reward, others", value=mean_reward(evidence, others)),
        ),
        plot=Plot(
            title="share of the rollouts that end at the turn limit",
            series={"at the limit": rollouts.by_step(hits, known)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            hits & span,
            why="its last message is a call, and no turn was left for an answer",
            turns=last_turn(rollouts),
        ),
        lookalikes=(
            LookAlike(
                what="a tool that never gives what is asked for, so that the policy asks on",
                told_apart_by="its results are errors, or always the same (tool-fails)",
            ),
            LookAlike(
                what="a policy that repeats one call",
                told_apart_by="the examples show the same arguments turn after turn; a higher"
                " limit only makes these longer",
            ),
            LookAlike(
                what="a reward for calls that outweighs the one for the answer",
                told_apart_by="the rollouts at the limit get as much reward as the others, and"
                " calls per rollout rise with training",
            ),
        ),
        refuted_by="run the same prompts with some more turns: if as many end at the limit, the"
        " limit is not what they lack.",
        remedy="Raise max_turns to what the task needs and one more for the answer, tell the model"
        " in the prompt how many turns it has, or force an answer in the last turn by offering no"
        " tools there.",
        since_step=since_step(rollouts, hits, COSTLY_HABIT, known),
    )


def _sentence(
    evidence: RunEvidence, found: Habit, standing: Standing, hits: Mask, others: Mask
) -> str:
    limit = evidence.limit("max_turns")
    named = f"the limit of {limit} turns" if limit else "the turn limit"
    if standing is Standing.HEALED:
        return (
            f"In the first third of the run {percent(found.early.value)} of the rollouts ended at"
            f" {named}; now {percent(found.now.value)} do."
        )
    turns = evidence.rollouts.numbers("derived_num_turns")[others]
    if len(turns):
        middle, long = np.percentile(turns, [50, 95])
        needed = f" The others need {middle:.0f} turns in the median, {long:.0f} at the 95th"
        needed += " percentile."
    else:
        needed = " None finished."
    return (
        f"{percent(found.now.value)} of the rollouts{found.then} end at {named} with a call still"
        f" open, so there is no answer to score.{needed}"
        f"{rewards_apart(evidence, hits, others, 'ones at the limit')}"
    )
