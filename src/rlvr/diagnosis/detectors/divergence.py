"""Did the policy fly apart: gradient, KL or entropy by orders of magnitude, the reward gone?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.detectors.wording import listed
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
from rlvr.diagnosis.habits import Turning, earn_nothing, lost, outcomes, turning_point
from rlvr.diagnosis.levels import Rise, Series, metric, not_finite, rise_of
from rlvr.diagnosis.thresholds import (
    ENTROPY_JUMP,
    GRADIENT_JUMP,
    GRADIENT_LARGE,
    KL_FAR,
    LARGE_MAJORITY,
)

CODE = "divergence"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Jump:
    """One quantity that is not what it was, since a step of the rollouts that show it."""

    name: str
    sentence: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    """What is watched, by step of the rollouts; empty where it is not recorded."""

    loss: Series
    gradient: Series
    kl: Series
    entropy: Series
    broken: Mask

    @property
    def known(self) -> bool:
        return any((self.loss, self.gradient, self.kl, self.entropy)) or bool(self.broken.any())


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Values that are not finite, jumps of KL, gradient or entropy, and whether the reward fell."""
    watched = _watched(evidence)
    if not watched.known:
        return (
            Unknown(
                code=CODE,
                because="the run has no metrics (loss, grad_norm, kl), and no rollout its entropy",
                needs="what the trainer logs at each step, or a trainer of rlvr.trainers",
            ),
        )
    not_numbers = _not_numbers(evidence, watched)
    fall = _fall(evidence)
    jumps = _jumps(watched, fall)
    if not not_numbers and not jumps:
        return (_healthy(watched),)
    return (_finding(evidence, watched, not_numbers, jumps, fall),)


def _watched(evidence: RunEvidence) -> _Watched:
    rollouts = evidence.rollouts
    first = int(rollouts.steps[0])
    rows = [row for row in evidence.metrics if row.step > first]  # logged after the update
    entropy = rollouts.numbers("entropy_mean")
    nothing_learnt = rollouts.numbers("trained_tokens") == 0
    by_step: Series = rollouts.by_step(entropy, np.isfinite(entropy))
    return _Watched(
        loss=_of_rollouts(metric(rows, "loss")),
        gradient=_of_rollouts(metric(rows, "grad_norm")),
        kl=_of_rollouts(metric(rows, "kl", "kl_mean")),
        entropy=by_step or _of_rollouts(metric(rows, "entropy")),
        broken=rollouts.known("entropy_mean") & ~np.isfinite(entropy) & ~nothing_learnt,
    )


def _of_rollouts(series: Series) -> Series:
    """A metric by the step of its rollouts: it is logged when their update is done."""
    return [(step - 1, value) for step, value in series]


def _not_numbers(evidence: RunEvidence, watched: _Watched) -> dict[str, list[int]]:
    """The steps at which a quantity was NaN or infinite, by its name."""
    found = {
        "loss": not_finite(watched.loss),
        "gradient norm": not_finite(watched.gradient),
        "KL": not_finite(watched.kl),
        "logprobs": sorted(set(evidence.rollouts.step[watched.broken].tolist())),
    }
    return {name: steps for name, steps in found.items() if steps}


def _jumps(watched: _Watched, fall: Turning | None) -> list[_Jump]:
    found = []
    gradient = rise_of(watched.gradient, GRADIENT_JUMP)
    entropy = rise_of(watched.entropy, ENTROPY_JUMP) or _burst(watched.entropy, fall)
    recent_kl = [value for _, value in watched.kl if np.isfinite(value)][-3:]
    far = [step for step, value in watched.kl if value > KL_FAR]
    if far and float(np.median(recent_kl)) > KL_FAR:
        words = f"the KL to the reference stands at {np.median(recent_kl):.2g} nats a token"
        found.append(_Jump(name="KL", sentence=words, step=far[0]))
    if gradient and gradient.after > GRADIENT_LARGE:
        found.append(_grown("gradient norm", "the gradient's norm", gradient))
    if entropy:
        found.append(_grown("entropy", "the policy's entropy", entropy))
    return found


def _burst(entropy: Series, fall: Turning | None) -> Rise | None:
    """The update with which entropy jumps and the reward falls for good, however entropy goes on.

    A policy that one update has ruined may give one text for ever soon after, or nothing that is
    trained on, and be no proof of a new level. That the reward never comes back takes its place.
    """
    values = [(step, value) for step, value in entropy if np.isfinite(value) and value > 0]
    for place, (step, value) in enumerate(values[1:], 1):
        before = float(np.median([earlier for _, earlier in values[:place]]))
        if fall and fall.step - 1 <= step <= fall.step and value > ENTROPY_JUMP * before:
            return Rise(step=step, before=before, after=value)
    return None


def _grown(name: str, what: str, rise: Rise) -> _Jump:
    words = f"{what} went from {rise.before:.2g} to {rise.after:.2g}"
    return _Jump(name=name, sentence=words, step=rise.step)


def _healthy(watched: _Watched) -> Healthy:
    known = {
        "loss": watched.loss,
        "gradient norm": watched.gradient,
        "KL": watched.kl,
        "entropy": watched.entropy,
    }
    names = [name for name, series in known.items() if series]
    return Healthy(
        code=CODE,
        sentence=f"{listed(names)} {'stays' if len(names) == 1 else 'stay'} finite and near where"
        f" {'it was' if len(names) == 1 else 'they were'}",
    )


def _fall(evidence: RunEvidence) -> Turning | None:
    """Where most rewards, or outcomes, fell to the lowest of the run for good; else None."""
    rollouts = evidence.rollouts
    for values in (rollouts.numbers("reward"), outcomes(evidence)):
        known = np.isfinite(values)
        lowest = float(values[known].min()) if known.any() else 0.0
        turning = turning_point(rollouts, known & (values <= lowest + FLAT_SPREAD), known)
        if turning and turning.after.low > max(turning.before.high, LARGE_MAJORITY):
            return turning
    return None


def _finding(
    evidence: RunEvidence,
    watched: _Watched,
    not_numbers: Mapping[str, list[int]],
    jumps: list[_Jump],
    fall: Turning | None,
) -> Finding:
    rollouts = evidence.rollouts
    began = min([jump.step for jump in jumps] + [steps[0] for steps in not_numbers.values()])
    after = rollouts.step >= began
    return Finding(
        code=CODE,
        severity=_severity(evidence, not_numbers, jumps, fall),
        sentence=_sentence(not_numbers, jumps, fall),
        rollouts=len(rollouts),
        lost=lost(evidence, after),
        numbers=_numbers(watched, fall),
        plot=_plot(evidence, watched, not_numbers, jumps),
        examples=examples_of(
            rollouts, after, why="from the first steps after it", order=rollouts.step.astype(float)
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="load the last checkpoint before the step named and sample some prompts with it:"
        " if the texts are as broken as those after it, the update did not break them.",
        remedy="Go back to a checkpoint before that step and train on with a lower learning rate"
        " (a third, then a tenth), a warm-up, and max_grad_norm at 1 or below. Where it comes in"
        " mid-training look at the batch just before: a reward of another size, tool results that"
        " are in the loss (mask-on-wrong-roles), stale rollouts (wrong-policy-version). With beta"
        " above 0 the KL term pulls back; in half precision use bfloat16, not float16.",
        since_step=began,
    )


def _severity(
    evidence: RunEvidence,
    not_numbers: Mapping[str, list[int]],
    jumps: list[_Jump],
    fall: Turning | None,
) -> Severity:
    """An error where nothing comes after it: weights that are not numbers, or no reward left."""
    rollouts = evidence.rollouts
    ends = {steps[-1] for steps in not_numbers.values()}
    lasts = any(end >= rollouts.steps[-1] - 1 for end in ends)
    gone = fall is not None and earn_nothing(
        evidence, rollouts.recent & (rollouts.step > fall.step)
    )
    if lasts or (jumps and gone):
        return Severity.ERROR
    return Severity.WARNING


def _sentence(
    not_numbers: Mapping[str, list[int]], jumps: list[_Jump], fall: Turning | None
) -> str:
    parts = [jump.sentence for jump in jumps]
    for name, steps in not_numbers.items():
        verb = "are" if name == "logprobs" else "is"
        times = "" if len(steps) == 1 else f" and at {len(steps) - 1} later ones"
        parts.append(f"{name} {verb} not finite at step {steps[0]}{times}")
    text = listed(parts)
    text = text[:1].upper() + text[1:]
    if fall is None:
        return f"{text}; the reward did not fall to its lowest with it."
    return (
        f"{text}, and from step {fall.step} on {fall.after.value:.0%} of the rollouts have the"
        f" lowest reward or outcome of the run ({fall.before.value:.0%} before): the policy flew"
        " apart."
    )


def _numbers(watched: _Watched, fall: Turning | None) -> tuple[Number, ...]:
    numbers = []
    for name, series, unit in (
        ("gradient norm", watched.gradient, ""),
        ("KL to the reference", watched.kl, "nats"),
        ("entropy", watched.entropy, "nats"),
    ):
        finite = [value for _, value in series if np.isfinite(value)]
        if finite:
            numbers.append(Number(name=f"{name}, first step", value=finite[0], unit=unit))
            numbers.append(Number(name=f"{name}, highest", value=max(finite), unit=unit))
            numbers.append(Number(name=f"{name}, last step", value=finite[-1], unit=unit))
    if fall is not None:
        numbers += [
            Number(name="lowest reward, before", value=fall.before.value, unit="share"),
            Number(name="lowest reward, after", value=fall.after.value, unit="share"),
        ]
    return tuple(numbers)


def _plot(
    evidence: RunEvidence,
    watched: _Watched,
    not_numbers: Mapping[str, list[int]],
    jumps: list[_Jump],
) -> Plot:
    """The quantity that the sentence begins with, beside the reward."""
    series = {
        "KL": watched.kl,
        "gradient norm": watched.gradient,
        "entropy": watched.entropy,
        "loss": watched.loss,
    }
    name = next(iter([jump.name for jump in jumps] or not_numbers))
    reward = evidence.rollouts.by_step(evidence.rollouts.numbers("reward"))
    shown = {name: series[name]} if name in series else {}
    return Plot(title=f"{name} and mean reward", series={**shown, "mean reward": reward})


_LOOKALIKES = (
    LookAlike(
        what="a scorer, a tool or a parser that broke in mid-run",
        told_apart_by="the reward falls, but gradient, KL and entropy do not jump before it",
    ),
    LookAlike(
        what="a single spike of the gradient, which clipping takes care of",
        told_apart_by="it is over after one step, and the reward goes on; only a level that stays"
        " is counted",
    ),
    LookAlike(
        what="a KL that grows because the policy learns",
        told_apart_by=f"it stays below {KL_FAR:g} nat a token, and the reward rises with it",
    ),
    LookAlike(
        what="outputs that become the same one",
        told_apart_by="the entropy falls there (diversity-collapse)",
    ),
)
