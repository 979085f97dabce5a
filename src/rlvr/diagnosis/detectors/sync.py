"""Do updates of the policy reach the sampler?"""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.analysis.statistics import Z, bend, trend
from rlvr.diagnosis.detectors.gap_causes import average
from rlvr.diagnosis.detectors.wording import counted
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
from rlvr.diagnosis.thresholds import GAP, GAP_DRIFT, GAP_GROWN, GAP_LAG, TREND_STEPS
from rlvr.diagnosis.updating import Updating, updating

CODE = "sampler-not-updated"

_START_SHARE = 0.1
_DOUBLED = 2.0
_BEGUN = 3.0


@dataclass(frozen=True, kw_only=True)
class _Drift:
    """The gap between trainer and sampler over the steps, in nats.

    `where` marks the rollouts compared: those that lie as far behind, by their own count, as the
    settings make most of them. `series` has their mean by step, `start` that of the first tenth,
    `now` that of the last steps. `lag` is what they lie behind, None where nobody counted.
    `same_version` says that they all name one policy version.
    """

    where: Mask
    series: list[tuple[int, float]]
    start: float
    now: float
    lag: int | None
    same_version: bool

    @property
    def rises(self) -> bool:
        """Whether the series has a trend that chance does not explain."""
        return trend([value for _, value in self.series]) > Z

    @property
    def grown(self) -> bool:
        """Whether the last steps are far above the first."""
        line = max(GAP_LAG if self.lag else GAP_DRIFT, GAP_GROWN * self.start)
        return self.now > line or (self.now > GAP and self.now > _DOUBLED * self.start)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """A gap that was small when training began and grows with every update."""
    if not evidence.signal.gaps.known.any():
        return (
            Unknown(
                code=CODE,
                because="no rollout has logprobs of both the trainer and the sampler",
                needs="a server that returns logprobs, and a trainer of rlvr.trainers",
            ),
        )
    drift = _drift(evidence)
    if len(drift.series) < TREND_STEPS:
        return (
            Unknown(
                code=CODE,
                because=f"the gap between trainer and sampler is known of"
                f" {counted(len(drift.series), 'step')}, too few for a trend",
                needs=f"{TREND_STEPS} steps",
            ),
        )
    updates = updating(evidence)
    if drift.grown and drift.rises:
        return (_finding(evidence, drift, updates),)
    return (_still(drift, updates),)


def _drift(evidence: RunEvidence) -> _Drift:
    rollouts, gaps = evidence.rollouts, evidence.signal.gaps
    version = rollouts.numbers("derived_policy_version")
    lag = rollouts.step - version
    known = gaps.known & np.isfinite(gaps.mean)
    one = bool(np.unique(version[np.isfinite(version)]).size == 1)
    # By its own count a sampler that stands still lies further behind at each step.
    counted_lag = known & np.isfinite(lag)
    usual = None
    if counted_lag.any() and not one:
        values, counts = np.unique(lag[counted_lag], return_counts=True)
        usual = int(values[counts.argmax()])
        known &= lag == usual
    series = rollouts.by_step(gaps.mean, known)
    first = [step for step, _ in series][: max(1, round(len(series) * _START_SHARE))]
    start = known & (rollouts.step <= first[-1]) if first else known
    return _Drift(
        where=known,
        series=series,
        start=average(gaps.mean, start),
        now=average(gaps.mean, known & rollouts.recent),
        lag=usual,
        same_version=one,
    )


def _still(drift: _Drift, updates: Updating) -> Outcome:
    if updates.stands_still:
        return Unknown(
            code=CODE,
            because="the trainer's weights do not move themselves (update-too-small), so nobody can"
            " tell whether they would reach the sampler",
            needs="updates that change the policy",
        )
    if drift.rises and drift.now > GAP_DRIFT and drift.now > _BEGUN * drift.start:
        return Unknown(
            code=CODE,
            because=f"the gap grows steadily, from {drift.start:.1g} to {drift.now:.1g} nats, but"
            " is still no more than rounding or the lag may make it",
            needs="more steps",
        )
    return Healthy(
        code=CODE,
        sentence=f"trainer and sampler stay as near as they were at first ({drift.start:.1g} nats,"
        f" now {drift.now:.1g}), over {counted(len(drift.series), 'step')}",
        numbers=(
            Number(name="gap at first", value=drift.start, unit="nats"),
            Number(name="gap now", value=drift.now, unit="nats"),
        ),
    )


def _finding(evidence: RunEvidence, drift: _Drift, updates: Updating) -> Finding:
    rollouts = evidence.rollouts
    since = _since(drift)
    stale = evidence.signal.gives_gradient.copy()
    if since is not None:
        stale &= rollouts.step >= since
    return Finding(
        code=CODE,
        severity=Severity.ERROR,
        sentence=_sentence(drift, since),
        rollouts=len(rollouts),
        corrupted=int(stale.sum()),
        numbers=(
            Number(name="gap at first", value=drift.start, unit="nats"),
            Number(name="gap now", value=drift.now, unit="nats"),
            Number(name="updates that a rollout names as missing", value=drift.lag, unit="updates"),
            Number(name="learning rate, mean", value=updates.rate),
            Number(name="norm of the gradient, median", value=updates.grad_norm),
        ),
        plot=Plot(
            title="mean |trainer - sampler| logprob, in nats",
            series={"gap": drift.series},
        ),
        examples=examples_of(
            rollouts,
            drift.where & rollouts.recent,
            why="sampled from weights that training has left",
            order=-np.nan_to_num(evidence.signal.gaps.largest),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="`rlvr preflight` changes a weight and asks the sampler whether it noticed. Or"
        " sample one prompt greedily before and after ten updates and compare the logprobs that the"
        " server reports: if they moved as the trainer's did, the finding is wrong.",
        remedy="look at what carries the weights: every trained parameter must be sent after each"
        " update under the name that the server knows (no prefix of FSDP, compile or peft), LoRA"
        " merged or reloaded as an adapter, the prefix cache reset, and errors of the sync raised"
        " and not logged.",
        since_step=since,
    )


def _since(drift: _Drift) -> int | None:
    """The step of the first batch that lacks an update: that after the bend of the gap, and the
    first one where it grows from there on."""
    last_level = bend(drift.series)
    steps = [step for step, _ in drift.series]
    if last_level is None or last_level == steps[0]:
        return steps[0]
    return next((step for step in steps if step > last_level), last_level)


def _sentence(drift: _Drift, since: int | None) -> str:
    if drift.same_version:
        claim = "and all rollouts name one policy version"
    elif drift.lag is None:
        claim = "as it does where no update arrives"
    elif drift.lag:
        claim = f"although the rollouts claim weights that are {counted(drift.lag, 'update')} old"
    else:
        claim = "although the rollouts claim the newest weights"
    begun = f" since step {since}" if since else ""
    return (
        f"No update, or not all of it, reaches the sampler{begun}: trainer and sampler differed by"
        f" {drift.start:.1g} nats a token at first and by {drift.now:.2g} now, more with every"
        f" step, {claim}."
    )


_LOOKALIKES = (
    LookAlike(
        what="batches that are sampled ahead",
        told_apart_by="their gap is there from the first lagging batch on and does not grow; only"
        " rollouts of one lag are compared",
    ),
    LookAlike(
        what="another precision, prompt or checkpoint on the two sides",
        told_apart_by="that gives one level from the first step on (sampler-trainer-gap)",
    ),
    LookAlike(
        what="dropout in an adapter that learns",
        told_apart_by="its gap levels off, and is gone with disable_dropout=True",
    ),
)
