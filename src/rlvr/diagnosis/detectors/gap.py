"""Do trainer and sampler give the sampled tokens the same probabilities?"""

from collections.abc import Mapping, Sequence

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.analysis.statistics import Share, Side, share
from rlvr.diagnosis.detectors.gap_causes import (
    Cause,
    average,
    cause_of,
    positions_of,
    start_of,
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
from rlvr.diagnosis.habits import dated
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.positions import gaps_of
from rlvr.diagnosis.thresholds import GAP, GAP_COMMON, GAP_SOME
from rlvr.record import Trajectory

CODE = "sampler-trainer-gap"

_ELSEWHERE: Mapping[Reason, str] = {
    Reason.CONTEXT: "did not see their context (context-not-attended)",
    Reason.TOKENS: "scored other tokens (tokens-not-sampled)",
}

_EXPLANATIONS: Mapping[Cause, str] = {
    Cause.HISTORY: "the first turn agrees and later ones do not, so the trainer reads the history"
    " otherwise than it was served",
    Cause.LAG: "only rollouts of older weights show it, so the policy moves that far between"
    " sampling and training",
    Cause.GROWING: "they agreed when training began, so the sampler no longer has the weights that"
    " are trained (sampler-not-updated)",
    Cause.POSITION: "the first tokens of a turn agree and later ones do not, so the two read long"
    " sequences otherwise",
    Cause.ALWAYS: "they disagree from the first recorded step and the first turn on, so the two"
    " have another prompt, other weights or another precision",
    Cause.TEMPERATURE: "they disagree from the first recorded step and the first turn on, as they"
    " do where a server reports logprobs before it divides by the temperature; another prompt or"
    " other weights would look the same",
}

_REMEDIES: Mapping[Cause, str] = {
    Cause.EXPLAINED: "mend what those findings name, and look at the gap again.",
    Cause.HISTORY: "train on the ids that each later request was served with, not on a history that"
    " is rendered again (templates drop earlier thinking, or end turns otherwise): the repair"
    ' `sampled_tokens` (repairs="all").',
    Cause.LAG: "generate fewer batches ahead (num_batches_ahead), use a smaller learning rate, or"
    " correct for it in the loss (importance weights by the sampler's logprobs).",
    Cause.GROWING: "look whether every trained parameter reaches the sampler after each update"
    " (LoRA weights have to be merged, the prefix cache reset), whether an adapter trains with"
    " dropout (disable_dropout=True), then whether the sampler's precision is the trainer's.",
    Cause.POSITION: "compare what depends on the position on both sides: rope scaling and its"
    " original length, a sliding window, chunked or quantised caches of keys and values, and the"
    " longest sequence that each of them takes.",
    Cause.ALWAYS: "compare, in this order, the ids that were served and trained, the checkpoint and"
    " precision of both sides, dropout in the policy (disable_dropout=True), and the temperature at"
    " which both compute logprobs.",
    Cause.TEMPERATURE: "start vLLM with --logprobs-mode processed_logprobs, and look at the gap"
    " again; if it stays, compare the served and the trained ids, then the weights of both sides.",
}

_NO_ERROR = (Cause.LAG, Cause.TEMPERATURE)  # what is trained on may be sound

_LOOKALIKES = (
    LookAlike(
        what="rounding: the sampler computes in bfloat16, with other kernels",
        told_apart_by="that gives one level from the first step on, the same in every turn, and"
        f" below {GAP:g} nats; `python benchmarks/diagnosis/gap_baseline.py` measures it",
    ),
    LookAlike(
        what="policy lag: batches generated ahead",
        told_apart_by="rollouts whose policy version is their step agree, older ones do not",
    ),
    LookAlike(
        what="a server that reports logprobs before the temperature is applied (vLLM's default)",
        told_apart_by="the gap is there from the first step on, in every turn, and gone at"
        " temperature 1",
    ),
)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts whose sampled tokens trainer and sampler disagree on by more than rounding."""
    rollouts, gaps = evidence.rollouts, evidence.signal.gaps
    if not gaps.known.any():
        return (
            Unknown(
                code=CODE,
                because="no rollout has logprobs of both the trainer and the sampler",
                needs="a server that returns logprobs, and a trainer of rlvr.trainers",
            ),
        )
    now = gaps.known & rollouts.recent
    common = _share(evidence, now)
    later = _share(evidence, now & ~np.isnan(gaps.later))
    if Side.ABOVE in (common.side(GAP_COMMON), later.side(GAP_COMMON)):
        cause = cause_of(evidence, now)
        severity = Severity.WARNING if cause in _NO_ERROR else Severity.ERROR
        return (_finding(evidence, now, severity, cause),)
    if common.side(GAP_SOME) is Side.ABOVE:
        cause = cause_of(evidence, now & gaps.over)
        return (_finding(evidence, now, Severity.WARNING, cause),)
    before = gaps.known & ~rollouts.recent
    if _share(evidence, before).side(GAP_COMMON) is Side.ABOVE:
        return (_finding(evidence, before, Severity.NOTE, cause_of(evidence, before)),)
    if common.side(GAP_COMMON) is Side.BELOW and common.value <= GAP_SOME:
        return (_healthy(evidence, now),)
    return (
        Unknown(
            code=CODE,
            because=f"{counted(int(now.sum()), 'rollout')} in"
            f" {counted(rollouts.clusters(now), 'group')} can't tell whether more than"
            f" {percent(GAP_SOME)} of them differ by over {GAP:g} nats",
            needs="more steps",
        ),
    )


def _share(evidence: RunEvidence, where: Mask) -> Share:
    """Share of the rollouts chosen that differ too much, with groups as independent units."""
    hits = int((evidence.signal.gaps.over & where).sum())
    return share(hits, int(where.sum()), clusters=evidence.rollouts.clusters(where))


def _healthy(evidence: RunEvidence, now: Mask) -> Healthy:
    mean = average(evidence.signal.gaps.mean, now)
    return Healthy(
        code=CODE,
        sentence=f"trainer and sampler differ by {mean:.1g} nats on average, no more than"
        f" rounding makes it ({GAP:g})",
        numbers=(Number(name="mean gap", value=mean, unit="nats"),),
    )


def _finding(evidence: RunEvidence, where: Mask, severity: Severity, cause: Cause) -> Finding:
    rollouts, gaps = evidence.rollouts, evidence.signal.gaps
    return Finding(
        code=CODE,
        severity=severity,
        sentence=_sentence(evidence, where, severity, cause),
        rollouts=len(rollouts),
        corrupted=int(evidence.signal.concerned(Reason.GAP).sum()),
        numbers=_numbers(evidence, where),
        plot=_plot(evidence, where, cause),
        examples=examples_of(
            rollouts,
            where & gaps.over,
            why="trainer and sampler disagree most here",
            order=-gaps.largest,
            turns=gaps.worst_turn,
            locate=_largest(evidence.details),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="score one example's served ids with the weights of its step in float32, in a"
        " forward of your own: the finding is wrong if that gives the sampler's logprobs and the"
        " trainer's too. `rlvr preflight` does it before the first step.",
        remedy=_REMEDIES[cause],
        since_step=dated(
            rollouts,
            gaps.over,
            GAP_COMMON if severity is Severity.ERROR else GAP_SOME,
            gaps.known,
        ),
    )


def _plot(evidence: RunEvidence, where: Mask, cause: Cause) -> Plot:
    rollouts, gaps = evidence.rollouts, evidence.signal.gaps
    if cause is Cause.HISTORY:
        return Plot(
            title="mean |trainer - sampler| logprob by turn, in nats",
            series={"gap": gaps.by_turn(where)},
            x_label="turn",
        )
    if cause is Cause.POSITION and (found := positions_of(evidence, where)) is not None:
        return Plot(
            title="mean |trainer - sampler| logprob by place in the first turn, in nats",
            series={"gap": list(found.series)},
            x_label="token",
        )
    return Plot(
        title="mean |trainer - sampler| logprob, in nats",
        series={
            "all turns": rollouts.by_step(gaps.mean),
            "first turn": rollouts.by_step(gaps.first),
        },
    )


def _sentence(evidence: RunEvidence, where: Mask, severity: Severity, cause: Cause) -> str:
    gaps = evidence.signal.gaps
    found = where & gaps.over
    part = found.sum() / where.sum()
    mean = average(gaps.mean, where if part > GAP_COMMON else found)
    if severity is Severity.NOTE:
        return (
            f"Earlier in the run trainer and sampler differed by {mean:.2g} nats a token; in the"
            " last steps they agree."
        )
    who = "Trainer and sampler"
    if part <= GAP_COMMON:
        who = f"In {percent(part)} of the rollouts trainer and sampler"
    return (
        f"{who} give the sampled tokens logprobs that differ by {mean:.2g} nats on average, more"
        f" than rounding explains: {_explanation(evidence, found, cause)}."
    )


def _explanation(evidence: RunEvidence, found: Mask, cause: Cause) -> str:
    if cause is not Cause.EXPLAINED:
        return _EXPLANATIONS[cause]
    holds = evidence.signal.holds
    return "the trainer " + listed(
        [text for reason, text in _ELSEWHERE.items() if (holds[reason] & found).any()]
    )


def _numbers(evidence: RunEvidence, where: Mask) -> tuple[Number, ...]:
    rollouts, gaps = evidence.rollouts, evidence.signal.gaps
    p99, beyond = rollouts.numbers("gap_p99"), rollouts.numbers("gap_beyond_1nat")
    averages = {
        "mean gap": (average(gaps.mean, where), "nats"),
        "mean gap of the first turn": (average(gaps.first, where), "nats"),
        "mean gap of later turns": (average(gaps.later, where), "nats"),
        "mean gap in the first steps": (average(gaps.mean, start_of(evidence)), "nats"),
        "99th percentile in a rollout": (average(p99, where), "nats"),
        "tokens beyond 1 nat": (average(beyond, where), "share"),
        **_by_lag(evidence, where),
        **_by_place(evidence, where),
    }
    return tuple(
        Number(name=name, value=value, unit=unit)
        for name, (value, unit) in averages.items()
        if np.isfinite(value)
    )


def _by_lag(evidence: RunEvidence, where: Mask) -> dict[str, tuple[float, str]]:
    """The mean gap of the newest weights and of older ones, where the rollouts have both."""
    lag = evidence.rollouts.step - evidence.rollouts.numbers("derived_policy_version")
    mean = evidence.signal.gaps.mean
    newest, older = average(mean, where & (lag == 0)), average(mean, where & (lag > 0))
    if not np.isfinite(newest + older):
        return {}
    return {
        "mean gap of the newest weights": (newest, "nats"),
        "mean gap of older weights": (older, "nats"),
    }


def _by_place(evidence: RunEvidence, where: Mask) -> dict[str, tuple[float, str]]:
    """The mean gap where long first turns begin and end, where token details were kept."""
    found = positions_of(evidence, where)
    if found is None:
        return {}
    return {
        "mean gap, first quarter of the first turn": (found.start, "nats"),
        "mean gap, last quarter of the first turn": (found.end, "nats"),
    }


def _largest(details: Sequence[Trajectory]) -> dict[str, Example]:
    """The token of the largest gap in each rollout with token details, by id."""
    places: dict[str, tuple[float, Example]] = {}
    for trajectory in details:
        for number, sequence in enumerate(trajectory.tokens.sequences if trajectory.tokens else ()):
            sampler, trainer = sequence.sampler_logprobs, sequence.trainer_logprobs
            gap = gaps_of(sequence)
            if sampler is None or trainer is None or gap is None:
                continue
            if trajectory.id is None or np.isnan(gap).all():
                continue
            token = int(np.nanargmax(gap))
            if gap[token] > places.get(trajectory.id, (-1.0, None))[0]:
                why = (
                    f"the sampler gave it {sampler[token]:.2f} nats, the trainer"
                    f" {trainer[token]:.2f}"
                )
                example = Example(id=trajectory.id, why=why, token=token, sequence=number)
                places[trajectory.id] = float(gap[token]), example
    return {id: example for id, (_, example) in places.items()}
