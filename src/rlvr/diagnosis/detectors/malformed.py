"""Are the policy's tool calls well formed?"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
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
from rlvr.diagnosis.misfits import Misfit, misfits, signatures
from rlvr.diagnosis.thresholds import MALFORMED_CALLS
from rlvr.utils.text import one_line

CODE = "calls-malformed"


@dataclass(frozen=True, kw_only=True)
class _Calls:
    """Calls that no tool could take. Counts by rollout, shape (rollouts,); `written` counts all
    calls of a rollout, 0 where nobody looked. `unfit` holds those whose arguments parse and do not
    fit their tool, by the rollout's id: only rollouts with messages can show these."""

    broken: Floats
    written: Floats
    unfit: Mapping[str, tuple[Misfit, ...]]

    @property
    def looked_at(self) -> Mask:
        return np.asarray(self.written > 0)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Calls whose arguments do not parse or do not fit their tool, or that name no tool."""
    return (_judge(evidence),)


def _judge(evidence: RunEvidence) -> Outcome:
    rollouts = evidence.rollouts
    calls = _by_columns(evidence)
    if not calls.looked_at.any() and evidence.offers_no_tools:
        return Healthy(
            code=CODE,
            sentence=f"the run offers no tools, and none was called in {len(rollouts):,} rollouts",
        )
    if not calls.looked_at.any():
        return Unknown(
            code=CODE,
            because=f"none of {len(rollouts):,} rollouts has a parsed call",
            needs="rollouts that call; calls left in the text are calls-unparsed",
        )
    unfit = _unfit(evidence)
    if not calls.broken.any() and not unfit and calls_without_results(evidence.contents):
        return Unknown(
            code=CODE,
            because="calls are recorded, but not what became of them",
            needs="tool results, which rlvr's trainers record",
        )
    found = habit(rollouts, calls.broken, calls.written)
    standing = found.standing(MALFORMED_CALLS)
    if unfit and standing not in (Standing.MOST, Standing.OFTEN):
        wider = _with_unfit(evidence, calls, unfit)
        seen = habit(rollouts, wider.broken, wider.written)
        if seen.standing(MALFORMED_CALLS) not in (Standing.RARE, Standing.UNSURE):
            return _finding(evidence, seen, wider)
    if standing in (Standing.UNSURE, Standing.RARE):
        return _few(found, standing)
    return _finding(evidence, found, calls)


def _few(found: Habit, standing: Standing) -> Outcome:
    if standing is Standing.UNSURE:
        return found.unknown(CODE, "calls are malformed", MALFORMED_CALLS)
    return Healthy(
        code=CODE,
        sentence=f"{found.of('calls')} are malformed",
        numbers=found.numbers("malformed calls"),
    )


def _by_columns(evidence: RunEvidence) -> _Calls:
    rollouts = evidence.rollouts
    broken = np.nan_to_num(rollouts.numbers("derived_num_malformed_calls"), nan=0.0)
    written = np.nan_to_num(rollouts.numbers("derived_num_tool_calls"), nan=0.0)
    # A trainer may have rolled broken calls back.
    return _Calls(broken=broken, written=np.maximum(written, broken), unfit={})


def _unfit(evidence: RunEvidence) -> dict[str, tuple[Misfit, ...]]:
    known = signatures(evidence.info.tools) if evidence.info else {}
    found = {
        trajectory.id: tuple(misfits(trajectory, known))
        for trajectory in evidence.contents
        if trajectory.id is not None
    }
    return {id: of_one for id, of_one in found.items() if of_one}


def _with_unfit(
    evidence: RunEvidence, calls: _Calls, unfit: Mapping[str, tuple[Misfit, ...]]
) -> _Calls:
    """The calls of the rollouts with messages, of which those that do not fit are broken too."""
    rollouts = evidence.rollouts
    looked_at = rollouts.among([t.id for t in evidence.contents if t.id is not None])
    counts = np.array([len(unfit.get(id, ())) for id in rollouts.ids], dtype=np.float64)
    broken = np.where(looked_at, calls.broken + counts, 0.0)
    written = np.where(looked_at, np.maximum(calls.written, broken), 0.0)
    return _Calls(broken=broken, written=written, unfit=unfit)


def _finding(evidence: RunEvidence, found: Habit, calls: _Calls) -> Finding:
    rollouts, standing = evidence.rollouts, found.standing(MALFORMED_CALLS)
    hits = calls.broken > 0
    span = rollouts.recent if standing is not Standing.HEALED else ~rollouts.recent
    errors = _errors(evidence, calls.unfit)
    return Finding(
        code=CODE,
        severity=severity(evidence, standing, hits & span),
        sentence=_sentence(found, standing, errors, unfit=bool(calls.unfit))
        + _where_cut(evidence, errors.total()),
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
            series={"malformed": rollouts.by_step(calls.broken, calls.looked_at)},
        ),
        examples=examples_of(
            rollouts,
            hits & span,
            why="a call that no tool could take",
            locate=_places(evidence, calls.unfit),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="open the examples at their turns and give the arguments to a JSON parser: if"
        " they parse, name an offered tool and the arguments of its schema, the calls are sound and"
        " the environment is wrong.",
        remedy="Show one call in the prompt exactly as the template wants it, answer a malformed"
        " call with what is wrong in it, so that the policy can call again, or teach the format"
        " on some examples before the training. A few malformed calls the training unlearns by"
        " itself.",
        since_step=since_step(rollouts, hits, MALFORMED_CALLS, calls.looked_at),
    )


def _sentence(found: Habit, standing: Standing, errors: Counter[str], *, unfit: bool) -> str:
    if standing is Standing.HEALED:
        return (
            f"In the first third of the run {percent(found.early.value)} of the tool calls were"
            f" malformed; now {percent(found.now.value)} are."
        )
    often = ""
    if errors:
        text, count = errors.most_common(1)[0]
        often = f' Most often ({count} of {errors.total()} looked at): "{text}".'
    do = "reach no tool, because their arguments do not parse or they name none"
    if unfit:
        do = "do not fit their tool, because their arguments are not those that it takes"
    return f"{percent(found.now.value)} of the tool calls{found.then} {do}.{often}"


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


def _errors(evidence: RunEvidence, unfit: Mapping[str, tuple[Misfit, ...]]) -> Counter[str]:
    """How often each kind of error is seen in the rollouts with messages; numbers are left out,
    so that places in a text do not part what is one kind."""
    looked_at = recent_contents(evidence) or evidence.contents
    errors = Counter(
        one_line(re.sub(r"\d+", "#", result.error or "no reason recorded"), 90)
        for trajectory in looked_at
        for result in trajectory.tool_results
        if result.malformed
    )
    errors.update(
        misfit.why for trajectory in looked_at for misfit in unfit.get(trajectory.id or "", ())
    )
    return errors


def _places(evidence: RunEvidence, unfit: Mapping[str, tuple[Misfit, ...]]) -> dict[str, Example]:
    places = {}
    for trajectory in evidence.contents:
        if trajectory.id is None:
            continue
        broken = next((result for result in trajectory.tool_results if result.malformed), None)
        if broken is not None:
            why = f"a malformed call: {one_line(broken.error or '', 80)}" if broken.error else ""
            places[trajectory.id] = Example(id=trajectory.id, why=why, turn=broken.turn)
        elif trajectory.id in unfit:
            first = unfit[trajectory.id][0]
            places[trajectory.id] = Example(id=trajectory.id, why=first.why, turn=first.turn)
    return places


_LOOKALIKES = (
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
        what="a tool that refuses what its arguments say",
        told_apart_by="their names are those of its schema, and it raised by itself (tool-fails)",
    ),
)
