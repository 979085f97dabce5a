"""Do rollouts still differ: is there entropy, and does a group say more than one thing?"""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import Side
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
from rlvr.diagnosis.habits import (
    Habit,
    Standing,
    habit,
    lost,
    outcomes,
    percent,
    recent_contents,
    severity,
    since_step,
)
from rlvr.diagnosis.levels import Series, metric
from rlvr.diagnosis.likeness import Twins, copies_across_prompts, copies_in_group, twins
from rlvr.diagnosis.thresholds import COPIES, ENTROPY_GONE

CODE = "diversity-collapse"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sameness:
    """Rollouts that are not right and say what another does, in one sense. `hits` are among
    `trials`; `text` says it of some of the rollouts, `which` names a rollout."""

    hits: Mask
    trials: Mask
    found: Habit
    text: str
    which: str
    counted: bool

    def standing(self) -> Standing:
        """Where it stands against COPIES."""
        return self.found.standing(COPIES)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts that are wrong and the same: in a group, over prompts, or for want of entropy."""
    rollouts = evidence.rollouts
    entropy = _entropy(evidence)
    known = rollouts.known("derived_text_hash")
    if not known.any() and not entropy:
        return (
            Unknown(
                code=CODE,
                because="no rollout has messages to compare, and none its entropy",
                needs="messages, or a trainer that records the entropy",
            ),
        )
    wrong = _wrong(evidence)
    kinds = _kinds(evidence, wrong)
    worst = next((kind for kind in kinds if kind.standing() in _PROVEN), None)
    if worst is not None:
        return (_finding(evidence, kinds, worst, entropy, wrong),)
    gone = _gone(evidence, entropy, wrong)
    if gone is not None:
        return (_finding(evidence, kinds, gone, entropy, wrong),)
    unsure = next(
        (
            kind
            for kind in kinds
            if kind.counted and kind.standing() is Standing.UNSURE and kind.found.now.value > COPIES
        ),
        None,
    )
    if unsure is not None:
        return (unsure.found.unknown(CODE, f"rollouts {unsure.text}", COPIES),)
    return (_healthy(evidence, kinds, entropy),)


_PROVEN = (Standing.MOST, Standing.OFTEN)


def _wrong(evidence: RunEvidence) -> Mask:
    """Rollouts in the lower half of what the outcome can be that do not state the reference, so
    that a converged run is not held to be broken: what is right may well be said twice."""
    values = outcomes(evidence)
    finite = values[np.isfinite(values)]
    stated = evidence.rollouts.is_true("derived_reference_in_answer")
    if not finite.size:
        return ~stated
    low, high = min(float(finite.min()), 0.0), max(float(finite.max()), 1.0)
    return ~stated & ~(values > (low + high) / 2)


def _kinds(evidence: RunEvidence, wrong: Mask) -> tuple[_Sameness, ...]:
    rollouts = evidence.rollouts
    told = rollouts.known("derived_text_hash")
    grouped = told & (rollouts.groups.size[rollouts.group] > 1)
    near: Twins = twins(recent_contents(evidence))
    looked_at = rollouts.among(near.looked_at)
    flat = wrong & rollouts.groups.flat[rollouts.group]

    def kind(hits: Mask, trials: Mask, text: str, which: str, *, counted: bool) -> _Sameness:
        return _Sameness(
            hits=hits,
            trials=trials,
            found=habit(rollouts, hits & trials, trials),
            text=text,
            which=which,
            counted=counted,
        )

    return (
        kind(
            copies_across_prompts(rollouts) & wrong,
            told,
            "are wrong and say word for word what one of another prompt says",
            "it says what a rollout of another prompt says",
            counted=True,
        ),
        kind(
            copies_in_group(rollouts) & wrong,
            grouped,
            "are wrong and say word for word what another of their group says",
            "another one of its group says the same",
            counted=True,
        ),
        kind(
            rollouts.among(near.prompt) & flat,
            looked_at,
            "looked at are wrong and say nearly what one of another prompt says",
            "it says nearly what a rollout of another prompt says",
            counted=False,
        ),
        kind(
            rollouts.among(near.group) & flat,
            looked_at,
            "looked at are wrong and say nearly what another of their group says",
            "another one of its group says nearly the same",
            counted=False,
        ),
    )


def _entropy(evidence: RunEvidence) -> Series:
    """(step, mean entropy in nats a token), of the rollouts or of the trainer's metrics."""
    rollouts = evidence.rollouts
    values = rollouts.numbers("entropy_mean")
    by_step = rollouts.by_step(values, np.isfinite(values))
    return by_step or [(step - 1, value) for step, value in metric(evidence.metrics, "entropy")]


def _gone(evidence: RunEvidence, entropy: Series, wrong: Mask) -> _Sameness | None:
    """That the policy is sure of itself and mostly wrong, None where it is not."""
    rollouts = evidence.rollouts
    now = _now(evidence, entropy)
    if not now < ENTROPY_GONE:
        return None
    all_of_them = np.ones(len(rollouts), np.bool_)
    found = habit(rollouts, wrong, all_of_them)
    if found.now.side(COPIES) is not Side.ABOVE:
        return None
    low = _low_entropy(evidence, entropy)
    return _Sameness(
        hits=wrong & low,
        trials=all_of_them,
        found=habit(rollouts, wrong & low, all_of_them),
        text=f"are wrong, and sampled at an entropy of {now:.1g} nats a token: hardly anything"
        " is drawn any more",
        which="it is wrong, and hardly anything was left to chance",
        counted=False,
    )


def _low_entropy(evidence: RunEvidence, entropy: Series) -> Mask:
    """Rollouts of the steps whose entropy is below the line."""
    low = [step for step, value in entropy if value < ENTROPY_GONE]
    return np.isin(evidence.rollouts.step, low)


def _now(evidence: RunEvidence, entropy: Series) -> float:
    """The mean entropy of the recent steps, NaN where it is not known."""
    rollouts = evidence.rollouts
    first = int(rollouts.step[rollouts.recent].min())
    values = [value for step, value in entropy if step >= first and np.isfinite(value)]
    return float(np.mean(values)) if values else float("nan")


def _healthy(evidence: RunEvidence, kinds: tuple[_Sameness, ...], entropy: Series) -> Healthy:
    in_group = kinds[1]
    now = _now(evidence, entropy)
    said = "" if np.isnan(now) else f"; entropy {now:.2g} nats a token"
    return Healthy(
        code=CODE,
        sentence=f"{in_group.found.of('rollouts')} {in_group.text}{said}",
        numbers=in_group.found.numbers("wrong copies in a group"),
    )


def _finding(
    evidence: RunEvidence,
    kinds: tuple[_Sameness, ...],
    worst: _Sameness,
    entropy: Series,
    wrong: Mask,
) -> Finding:
    rollouts = evidence.rollouts
    shown = worst.hits & rollouts.recent
    grave = severity(evidence, worst.standing(), shown) if worst.counted else Severity.WARNING
    return Finding(
        code=CODE,
        severity=grave,
        sentence=f"{percent(worst.found.now.value)} of the rollouts{worst.found.then} {worst.text}."
        " A group of copies has nothing to compare.",
        rollouts=len(rollouts),
        lost=lost(evidence, worst.hits),
        numbers=_numbers(evidence, kinds, entropy, wrong),
        plot=_plot(evidence, worst, entropy),
        examples=examples_of(rollouts, shown, why=worst.which),
        lookalikes=_LOOKALIKES,
        refuted_by="sample one of the prompts sixteen times from the last checkpoint at"
        " temperature 1: if the texts differ, the record holds copies that the policy does not"
        " make.",
        remedy="Check the sampler's temperature, top_p and seed first (a fixed seed for each"
        " request gives copies). Otherwise go back to a checkpoint with entropy, and train on with"
        " a lower learning rate, a bonus on entropy, a wider upper clip (clip-higher), or beta"
        " above 0; leave groups without spread out, since they only add noise (RAGEN-2, arXiv"
        " 2604.06268).",
        since_step=_since(evidence, worst),
    )


def _since(evidence: RunEvidence, worst: _Sameness) -> int | None:
    return since_step(evidence.rollouts, worst.hits, COPIES, worst.trials)


def _numbers(
    evidence: RunEvidence, kinds: tuple[_Sameness, ...], entropy: Series, wrong: Mask
) -> tuple[Number, ...]:
    across, in_group, *_ = kinds
    finite: Floats = np.array([value for _, value in entropy if np.isfinite(value)])
    numbers = [
        *in_group.found.numbers("wrong copies in a group"),
        Number(name="wrong copies over prompts, now", value=across.found.now.value, unit="share"),
        Number(
            name="wrong rollouts, now",
            value=float(wrong[evidence.rollouts.recent].mean()),
            unit="share",
        ),
    ]
    if finite.size:
        now = _now(evidence, entropy)
        numbers += [
            Number(name="entropy, first step", value=float(finite[0]), unit="nats"),
            Number(name="entropy, now", value=None if np.isnan(now) else now, unit="nats"),
        ]
    return tuple(numbers)


def _plot(evidence: RunEvidence, worst: _Sameness, entropy: Series) -> Plot:
    series = {"copies": evidence.rollouts.by_step(worst.hits, worst.trials)}
    if entropy:
        series["entropy, nats a token"] = list(entropy)
    return Plot(title="share of the rollouts that are wrong and copies", series=series)


_LOOKALIKES = (
    LookAlike(
        what="a run that has converged, honestly",
        told_apart_by="its rollouts are right, and only those in the lower half of the outcome"
        " count",
    ),
    LookAlike(
        what="short answers (yes, no, a letter), which are the same by chance",
        told_apart_by="over prompts only rollouts of 20 tokens or more count",
    ),
    LookAlike(
        what="a prompt that several groups of a batch hold",
        told_apart_by="rollouts of one prompt count as one here (duplicate-prompts)",
    ),
    LookAlike(
        what="a cache or a fixed seed in the sampler",
        told_apart_by="the entropy is as high as ever, and the copies are there from the first"
        " step",
    ),
)
