"""Does the scorer see the right answers that are there?"""

from collections.abc import Sequence

from rlvr.analysis.statistics import Side, share
from rlvr.diagnosis.detectors.stated import (
    ExactAnswer,
    StatingRollouts,
    judging_components,
    others_that_see,
    stating_rollouts,
)
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
from rlvr.diagnosis.habits import begins
from rlvr.diagnosis.thresholds import CONTRADICTED, SILENT

CODE = "scorer-silent"

_NEEDS = "the components of some rollouts computed again, on the main thread and in a worker thread"


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """The component that judges answers, asked about rollouts that state the reference."""
    rollouts = evidence.rollouts
    names = judging_components(evidence)
    if not names:
        because = "no reward component with a weight was recorded"
        return (Unknown(code=CODE, because=because, needs="components and their weights"),)
    if not rollouts.known("derived_reference_in_answer").any():
        because = "no rollout has a reference answer to compare with"
        return (Unknown(code=CODE, because=because, needs="reference answers in the dataset"),)
    answers = [stating_rollouts(evidence, name) for name in names]
    suspects = [
        found
        for found in answers
        if found.unseen.side(SILENT) is Side.ABOVE
        and not (len(answers) > 1 and others_that_see(evidence, found))
    ]
    if suspects:
        return (_silent(evidence, suspects[0]),)
    judging = max(answers, key=lambda found: (~found.empty & found.stating).sum())
    return (_seeing(evidence, judging),)


def _silent(evidence: RunEvidence, found: StatingRollouts) -> Outcome:
    """Most rollouts that state the reference get nothing: is that the scorer's fault?"""
    looked_into = found.exact_now
    ignored = [scored for scored in looked_into if scored.empty]
    accepted = len(looked_into) - len(ignored)
    count = int((found.empty & found.stating).sum())
    if not ignored or accepted > len(ignored):
        return _contradiction(evidence, found) or Unknown(
            code=CODE,
            because=f"{found.name} gives {found.nothing} to {counted(count, 'rollout')} whose last"
            " answer has the words of the reference, but"
            f" {'none' if not ignored else 'few'} of those looked into"
            " answers with exactly the reference, so it may be right",
            needs=_NEEDS,
        )
    marked = [scored for scored in ignored if scored.marked]
    others = others_that_see(evidence, found)
    # A scorer that accepts some of them works: it may want a form, or citations, beside the answer.
    never = accepted == 0 and found.unseen.hits == found.unseen.trials
    weights = evidence.signal.weights
    most = 2 * weights.get(found.name, 0.0) > sum(w for w in weights.values() if w > 0)
    return _finding(
        evidence,
        found,
        looked_into=looked_into,
        ignored=marked or ignored,
        severity=Severity.ERROR if never and marked and (most or not others) else Severity.WARNING,
        sentence=_silent_sentence(found, count, never=never, marked=bool(marked), others=others),
    )


def _silent_sentence(
    found: StatingRollouts, count: int, *, never: bool, marked: bool, others: Sequence[str]
) -> str:
    sentence = (
        f"{count:,} of the {int(found.stating.sum()):,} rollouts that end with the reference answer"
        f" get {found.nothing} from {found.name}"
    )
    if others:
        return (
            f"{sentence}, although {listed(others)} rewards them: {found.name} fails, or judges"
            " something else."
        )
    if not marked:
        return f"{sentence}: it may not find answers that stand outside an answer tag or a box."
    if not never:
        return f"{sentence}: it fails now and then, or wants more than the right answer."
    return f"{sentence}: right answers are punished, and nothing can be learnt from the reward."


def _contradiction(evidence: RunEvidence, found: StatingRollouts) -> Finding | Unknown | None:
    """Some answers get nothing where the same answer to the same question got the full score.

    None where hardly any do.
    """
    solved = {scored.example for scored in found.exact if scored.full}
    comparable = [scored for scored in found.exact if scored.example in solved]
    contradicted = [scored for scored in comparable if scored.empty]
    examples = {scored.example for scored in comparable}
    refused = share(len(contradicted), len(comparable), clusters=len(examples))
    if not contradicted or refused.value <= CONTRADICTED:
        return None
    if refused.side(CONTRADICTED) is not Side.ABOVE:
        return Unknown(
            code=CODE,
            because=f"{found.name} gives {found.nothing} to {len(contradicted):,} of"
            f" {len(comparable):,} answers that got the full score elsewhere, too few to tell"
            f" whether that is more than {percent(CONTRADICTED)}",
            needs=_NEEDS,
        )
    return _finding(
        evidence,
        found,
        looked_into=comparable,
        ignored=contradicted,
        severity=Severity.WARNING,
        sentence=f"{found.name} gives {found.nothing} to {len(contradicted):,} of"
        f" {len(comparable):,} rollouts looked into, although the same answer to the same"
        " question got the full score in another rollout.",
    )


def _seeing(evidence: RunEvidence, found: StatingRollouts) -> Outcome:
    """Not most of them are ignored: are some, where the same answer was accepted?"""
    contradiction = _contradiction(evidence, found)
    if contradiction is not None:
        return contradiction
    if found.unseen.side(SILENT) is Side.BELOW:
        return Healthy(
            code=CODE,
            sentence=f"{found.name} rewards {percent(1 - found.unseen.value)} of the"
            f" {counted(int(found.unseen.trials), 'rollout')} that end with the reference answer",
        )
    unseen, total = found.unseen, len(evidence.rollouts)
    if unseen.trials:
        because = (
            f"of {counted(int(unseen.trials), 'rollout')} that end with the reference answer,"
            f" {percent(unseen.value)} get {found.nothing} from {found.name}, too few to tell why"
        )
    else:
        because = (
            f"none of {total:,} rollouts ends with the reference answer, so nobody can tell"
            f" whether {found.name} would see it"
        )
    return Unknown(code=CODE, because=because, needs=_NEEDS)


def _finding(
    evidence: RunEvidence,
    found: StatingRollouts,
    *,
    looked_into: Sequence[ExactAnswer],
    ignored: Sequence[ExactAnswer],
    severity: Severity,
    sentence: str,
) -> Finding:
    rollouts, gives = evidence.rollouts, evidence.signal.gives_gradient
    unseen = found.empty & found.stating
    return Finding(
        code=CODE,
        severity=severity,
        sentence=sentence,
        rollouts=len(rollouts),
        lost=int((unseen & ~gives).sum()),
        corrupted=int((unseen & gives).sum()),
        numbers=(
            Number(
                name="rollouts that end with the reference answer",
                value=int(found.stating.sum()),
                unit="rollouts",
            ),
            Number(
                name=f"of them with the lowest value of {found.name}",
                value=int(unseen.sum()),
                unit="rollouts",
            ),
            Number(
                name="looked into: answers that are the reference to the letter",
                value=len(looked_into),
                unit="rollouts",
            ),
            Number(
                name="of them with the lowest value",
                value=sum(scored.empty for scored in looked_into),
                unit="rollouts",
            ),
        ),
        plot=Plot(
            title=f"{found.name}, by whether the rollout ends with the reference answer",
            series={
                "ends with it": rollouts.by_step(found.values, found.stating),
                "does not": rollouts.by_step(found.values, ~found.stating),
            },
        ),
        examples=examples_of(
            rollouts,
            unseen,
            why=f"it ends with the reference answer and gets {found.nothing.rstrip(',')}",
            locate={
                scored.id: Example(id=scored.id, why="", turn=scored.turn) for scored in ignored
            },
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="`rlvr rescore RUN` scores the recorded answers again, on the main thread of a"
        " fresh process too: if they get nothing there either, the scorer works as written, and its"
        " rule is what to look at. `rlvr preflight` scores a gold answer before training.",
        remedy="a known cause is math_verify, which bounds its time by signal.alarm: that works on"
        " the main thread alone, and MathRubric of verifiers 0.1 scores in another and returns 0.0"
        " without a word. Use EnhancedGRPOTrainer with the repair `scorer_timeouts`"
        ' (repairs="all"), or pass parsing_timeout=None to its parse and timeout_seconds=None to'
        " its verify and bound their time in a process of your own. Otherwise call the scorer with"
        " an example's text and reference and see which branch returns 0.",
        since_step=begins(rollouts, found.empty, found.stating),
    )


_LOOKALIKES = (
    LookAlike(
        what="a policy that never answers right",
        told_apart_by="then no rollout ends with the reference answer",
    ),
    LookAlike(
        what="an exact match that refuses long answers which contain the reference",
        told_apart_by="here answers count that are the reference to the letter",
    ),
    LookAlike(
        what="an outcome that counts only in a well-formed answer, or with right citations",
        told_apart_by="the rule is in the scorer: the same answer in the asked form gets the full"
        " score",
    ),
)
