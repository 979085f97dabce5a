"""Did the reward functions run, and would they give the same rewards again?"""

from collections import Counter

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.analysis.statistics import Share, Side, share
from rlvr.diagnosis.detectors.withheld import withheld
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
    Severity,
    Unknown,
)
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.thresholds import UNAFFECTED, WRONG_REWARDS
from rlvr.record import ScoreStatus

ERRORS, DISAGREES = "scorer-errors", "scorer-disagrees"
CODES = (ERRORS, DISAGREES)

_FAILED = (ScoreStatus.ERROR, ScoreStatus.TIMEOUT)
_MESSAGE_CHARS = 120
_MESSAGES = 3


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Scorers that raised or timed out, and rewards that another scoring does not confirm."""
    return (_errors(evidence), _disagreement(evidence))


def _errors(evidence: RunEvidence) -> Outcome:
    rollouts, signal = evidence.rollouts, evidence.signal
    if not rollouts.component_names or not rollouts.known("derived_num_scorer_failures").any():
        return Unknown(
            code=ERRORS,
            because="no rollout recorded its reward components",
            needs="components with a status, as rlvr's trainers record them",
        )
    failed = signal.holds[Reason.SCORER_ERROR]
    if not failed.any():
        return withheld(evidence, code=ERRORS) or Healthy(
            code=ERRORS,
            sentence=f"no scorer raised or timed out in {counted(len(rollouts), 'rollout')}",
        )
    now = _share(evidence, failed, rollouts.recent)
    severity = Severity.WARNING if now.value > UNAFFECTED else Severity.NOTE
    if now.side(WRONG_REWARDS) is Side.ABOVE:
        severity = Severity.ERROR
    messages = _messages(evidence)
    return Finding(
        code=ERRORS,
        severity=severity,
        sentence=_errors_sentence(evidence, failed, now, messages),
        rollouts=len(rollouts),
        lost=int(signal.concerned(Reason.SCORER_ERROR).sum()),
        corrupted=int((failed & signal.concerned(Reason.COUNTED_ERROR)).sum()),
        numbers=(
            Number(name="rollouts with a failed scorer", value=int(failed.sum()), unit="rollouts"),
            Number(name="failed scorers now", value=now.value, unit="share"),
            *(
                Number(name=f"{name}: {text}", value=count, unit="of the rollouts looked into")
                for (name, text), count in messages.most_common(_MESSAGES)
            ),
        ),
        plot=Plot(
            title="share of the rollouts with a failed scorer",
            series={"failed": rollouts.by_step(failed)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(rollouts, failed, why="a scorer failed on it"),
        lookalikes=(
            LookAlike(
                what="a scorer that returns 0 for wrong answers",
                told_apart_by="a failed component has no value and the status error or timeout",
            ),
            LookAlike(
                what="a component that does not apply to a task",
                told_apart_by="its status is not_applicable, which does not count here",
            ),
        ),
        refuted_by="`rlvr show RUN ID` of an example shows each component's status and message: if"
        " all are ok, the finding is wrong.",
        remedy="mend the scorer that the message names, and let it return a value for every"
        " completion, empty and malformed ones too. verifiers counts a failed component as 0.0 in"
        " the total, so until then right answers are punished.",
        since_step=int(rollouts.step[failed].min()),
    )


def _share(evidence: RunEvidence, hits: Mask, among: Mask) -> Share:
    return share(
        int((hits & among).sum()), int(among.sum()), clusters=evidence.rollouts.clusters(among)
    )


def _messages(evidence: RunEvidence) -> Counter[tuple[str, str]]:
    """How often each component failed with which message, among the rollouts with contents."""
    found: Counter[tuple[str, str]] = Counter()
    for trajectory in evidence.contents:
        for component in trajectory.components:
            if component.status in _FAILED:
                lines = (component.error or component.status.value).strip().splitlines() or [""]
                found[component.name, lines[0][:_MESSAGE_CHARS]] += 1
    return found


def _errors_sentence(
    evidence: RunEvidence, failed: Mask, now: Share, messages: Counter[tuple[str, str]]
) -> str:
    rollouts = evidence.rollouts
    names = list(dict.fromkeys(name for (name, _), _ in messages.most_common()))
    who = listed(names) if names else "A scorer"
    count = int(failed.sum())
    if count == len(rollouts):
        how_often = f"failed in every one of {counted(count, 'rollout')}"
    else:
        how_often = f"failed in {count:,} of {len(rollouts):,} rollouts ({percent(now.value)} now)"
    often = next(iter(messages.most_common(1)), None)
    text = f', most often with "{often[0][1]}"' if often else ""
    return f"{who} {how_often}{text}; verifiers counts that as 0.0 in the reward."


def _disagreement(evidence: RunEvidence) -> Outcome:
    rollouts, signal = evidence.rollouts, evidence.signal
    if evidence.disagreeing is None:
        return Unknown(
            code=DISAGREES,
            because="no rollout was scored a second time",
            needs="`rlvr rescore RUN`, which scores recorded completions on the main thread and in"
            " a worker",
        )
    other = signal.holds[Reason.DISAGREEMENT]
    asked = _rescored(evidence)
    count = int(other.sum())
    if not count:
        return Healthy(
            code=DISAGREES,
            sentence=f"none of {counted(int(asked.sum()), 'rollout')} that were scored anew gets"
            " another reward"
            if evidence.rescored is not None
            else "scored anew, no rollout of this training gets another reward",
        )
    found = _share(evidence, other, asked)
    corrupted = signal.concerned(Reason.DISAGREEMENT)
    return Finding(
        code=DISAGREES,
        severity=Severity.ERROR if found.side(WRONG_REWARDS) is Side.ABOVE else Severity.WARNING,
        sentence=f"Scored anew, {count:,} of {counted(int(asked.sum()), 'rollout')} get another"
        " reward than the one that they were trained on.",
        rollouts=len(rollouts),
        lost=int((other & ~signal.gives_gradient).sum()),
        corrupted=int(corrupted.sum()),
        numbers=(
            Number(name="rollouts with another reward", value=count, unit="rollouts"),
            Number(name="of those scored anew", value=found.value, unit="share"),
        ),
        plot=Plot(
            title="share of the rollouts that get another reward when scored anew",
            series={"another reward": rollouts.by_step(other, asked)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(rollouts, other, why="scored anew, it gets another reward"),
        lookalikes=(
            LookAlike(
                what="a judge model that samples its verdicts",
                told_apart_by="scoring the same rollout several times scatters around the"
                " recorded reward; `rlvr rescore` does so with some, and says it",
            ),
            LookAlike(
                what="a scorer or a package that was changed after the run",
                told_apart_by="`rlvr rescore RUN` names packages and scorers that are not those of"
                " the run",
            ),
        ),
        refuted_by="score an example again in the environment of the run, on the main thread and"
        " in a worker thread: if all three agree, the re-scoring was wrong.",
        remedy="find which scoring is right on an example, and make training use it: the same"
        " function, package versions and thread as in evaluation.",
        since_step=int(rollouts.step[other].min()),
    )


def _rescored(evidence: RunEvidence) -> Mask:
    """The rollouts that were scored anew; all of them where nobody says which."""
    ids = evidence.rescored
    return np.array([ids is None or id in ids for id in evidence.rollouts.ids], dtype=np.bool_)
