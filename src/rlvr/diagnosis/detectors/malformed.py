"""Are the policy's tool calls well formed?"""

import re
from collections import Counter

import numpy as np

from rlvr.analysis.columns import Floats
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
from rlvr.diagnosis.habits import (
    Habit,
    Standing,
    calls_without_results,
    habit,
    lost,
    percent,
    recent_contents,
    severity,
    since_step,
)
from rlvr.diagnosis.thresholds import MALFORMED_CALLS
from rlvr.utils.text import one_line

CODE = "calls-malformed"


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Calls whose arguments do not parse, or that name no tool."""
    return (_judge(evidence),)


def _judge(evidence: RunEvidence) -> Outcome:
    rollouts = evidence.rollouts
    broken = np.nan_to_num(rollouts.numbers("derived_num_malformed_calls"), nan=0.0)
    written = np.nan_to_num(rollouts.numbers("derived_num_tool_calls"), nan=0.0)
    calls = np.maximum(written, broken)  # a trainer may have rolled broken calls back
    if not calls.any() and evidence.offers_no_tools:
        return Healthy(
            code=CODE,
            sentence=f"the run offers no tools, and none was called in {len(rollouts):,} rollouts",
        )
    if not calls.any():
        return Unknown(
            code=CODE,
            because=f"none of {len(rollouts):,} rollouts has a parsed call",
            needs="rollouts that call; calls left in the text are calls-unparsed",
        )
    if not broken.any() and calls_without_results(evidence.contents):
        return Unknown(
            code=CODE,
            because="calls are recorded, but not what became of them",
            needs="tool results, which rlvr's trainers record",
        )
    found = habit(rollouts, broken, calls)
    standing = found.standing(MALFORMED_CALLS)
    if standing is Standing.UNSURE:
        return found.unknown(CODE, "calls are malformed", MALFORMED_CALLS)
    if standing is Standing.RARE:
        return Healthy(
            code=CODE,
            sentence=f"{found.of('calls')} are malformed",
            numbers=found.numbers("malformed calls"),
        )
    return _finding(evidence, found, standing, broken)


def _finding(evidence: RunEvidence, found: Habit, standing: Standing, broken: Floats) -> Finding:
    rollouts = evidence.rollouts
    hits = broken > 0
    span = rollouts.recent if standing is not Standing.HEALED else ~rollouts.recent
    errors = _errors(evidence)
    return Finding(
        code=CODE,
        severity=severity(evidence, standing, hits & span),
        sentence=_sentence(found, standing, errors) + _where_cut(evidence, errors.total()),
        rollouts=len(rollouts),
        lost=lost(evidence, hits),
        numbers=(
            *found.numbers("malformed calls"),
            Number(name="rollouts with a malformed call", value=int(hits.sum()), unit="rollouts"),
            *(
                Number(name=f"calls with: {text}", value=count, unit="of those looked at")
                for text, count in errors.most_common(3)
            ),
        ),
        plot=Plot(
            title="malformed calls per rollout",
            series={"malformed": rollouts.by_step(broken)},
        ),
        examples=examples_of(
            rollouts,
            hits & span,
            why="a call that no tool could take",
            locate=_places(evidence),
        ),
        lookalikes=(
            LookAlike(
                what="calls that max_tokens cut",
                told_apart_by="their turn's finish reason is `length` (truncation), and the"
                " arguments end in the middle",
            ),
            LookAlike(
                what="the wrong parser in the sampler, which takes calls apart badly",
                told_apart_by="the text of the turn as sampled is a sound call, the recorded one"
                " is not; sample one turn without parsing and compare",
            ),
            LookAlike(
                what="a tool that refuses arguments",
                told_apart_by="the call reached the tool and raised there (tool-fails)",
            ),
        ),
        refuted_by="open the examples at their turns and give the arguments to a JSON parser: if"
        " they parse and name an offered tool, the calls are sound and the environment is wrong.",
        remedy="Show one call in the prompt exactly as the template wants it, answer a malformed"
        " call with what is wrong in it, so that the policy can call again, or teach the format"
        " on some examples before the training. A few malformed calls the training unlearns by"
        " itself.",
        since_step=since_step(rollouts, hits, MALFORMED_CALLS),
    )


def _sentence(found: Habit, standing: Standing, errors: Counter[str]) -> str:
    if standing is Standing.HEALED:
        return (
            f"In the first third of the run {percent(found.early.value)} of the tool calls were"
            f" malformed; now {percent(found.now.value)} are."
        )
    often = ""
    if errors:
        text, count = errors.most_common(1)[0]
        often = f' Most often ({count} of {errors.total()} looked at): "{text}".'
    return (
        f"{percent(found.now.value)} of the tool calls{found.then} reach no tool, because their"
        f" arguments do not parse or they name none.{often}"
    )


def _where_cut(evidence: RunEvidence, looked_at: int) -> str:
    """That most of the malformed calls stand in turns that were cut, if they do."""
    cut = sum(
        result.turn == turn.index and turn.finish_reason == "length"
        for trajectory in recent_contents(evidence) or evidence.contents
        for result in trajectory.tool_results
        if result.malformed
        for turn in trajectory.turns
    )
    if 2 * cut <= looked_at:
        return ""
    return f" {cut} of these stand in turns that a length limit cut: see truncation first."


def _errors(evidence: RunEvidence) -> Counter[str]:
    """How often each kind of error is seen in the rollouts with messages; numbers are left out,
    so that places in a text do not part what is one kind."""
    return Counter(
        one_line(re.sub(r"\d+", "#", result.error or "no reason recorded"), 90)
        for trajectory in recent_contents(evidence) or evidence.contents
        for result in trajectory.tool_results
        if result.malformed
    )


def _places(evidence: RunEvidence) -> dict[str, Example]:
    places = {}
    for trajectory in evidence.contents:
        broken = next((result for result in trajectory.tool_results if result.malformed), None)
        if broken is not None and trajectory.id is not None:
            why = f"a malformed call: {one_line(broken.error or '', 80)}" if broken.error else ""
            places[trajectory.id] = Example(id=trajectory.id, why=why, turn=broken.turn)
    return places
