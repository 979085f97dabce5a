"""How large the trainer's updates are, by what it logged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.normalisation import FLAT_ADVANTAGE
from rlvr.diagnosis.thresholds import DAMPED_CLIP, STANDSTILL_KL, STANDSTILL_RATE
from rlvr.diagnosis.thresholds import STANDSTILL_UPDATES as ENOUGH

_SOME = 3  # logged gradients of exactly 0

Series = Sequence[tuple[int, float]]


@dataclass(frozen=True, kw_only=True)
class Updating:
    """The updates of a run. Series are (step, value): the batch of that step was trained then.

    `rates`, `norms` and `divergences` have what was logged of learning rate, gradient and KL, empty
    where nothing was. `configured` is the learning rate of the settings. `clip` is max_grad_norm,
    None or 0 where nothing is clipped. `moved` says that some rollout from step `recent` on
    gives a gradient with an advantage other than 0.
    """

    rates: Series
    norms: Series
    divergences: Series
    configured: float | None
    clip: float | None
    moved: bool
    recent: int

    @property
    def rate(self) -> float | None:
        """The largest learning rate of the last steps, or the configured one."""
        now = [value for step, value in self.rates if step >= self.recent]
        return max(now, default=self.configured)

    @property
    def warms_up(self) -> bool:
        """Whether the rate still rises: it is small because it began at 0."""
        return len(self.rates) > 1 and self.rates[-1][1] > self.rates[0][1]

    @property
    def grad_norm(self) -> float | None:
        """The median norm of the gradient in the last steps, None where none was logged."""
        now = [value for step, value in self.norms if step >= self.recent and math.isfinite(value)]
        return float(np.median(now)) if now else None

    @property
    def divergence(self) -> float | None:
        """The largest KL of the last steps, None where none was logged."""
        now = [v for step, v in self.divergences if step >= self.recent and math.isfinite(v)]
        return max(map(abs, now), default=None)

    @property
    def no_rate(self) -> bool:
        """Whether the learning rate is too small to move a weight."""
        return self.rate is not None and self.rate < STANDSTILL_RATE and not self.warms_up

    @property
    def no_gradient(self) -> bool:
        """Whether every gradient of the last steps was exactly 0, while some advantage was not."""
        now = [value for step, value in self.norms if step >= self.recent]
        return self.moved and len(now) >= _SOME and not any(now)

    @property
    def no_divergence(self) -> bool:
        """Whether the policy is where its reference is, after updates enough to leave it."""
        logged = [value for _, value in self.divergences]
        kl = self.divergence
        return kl is not None and len(logged) > ENOUGH and kl < STANDSTILL_KL and self.moved

    @property
    def clipped_away(self) -> bool:
        """Whether clipping leaves less of a gradient than Adam's epsilon."""
        return self.clip is not None and 0 < self.clip < DAMPED_CLIP

    @property
    def stands_still(self) -> bool:
        """Whether the weights are proven not to move."""
        return self.no_rate or self.no_gradient or self.no_divergence or self.clipped_away


def updating(evidence: RunEvidence) -> Updating:
    """What the run logged of its updates."""
    rollouts = evidence.rollouts
    advantage = rollouts.numbers("advantage")
    recent = rollouts.recent
    moving = recent & evidence.signal.gives_gradient & (np.abs(advantage) > FLAT_ADVANTAGE)
    return Updating(
        rates=_series(evidence, "learning_rate"),
        norms=_series(evidence, "grad_norm"),
        divergences=_series(evidence, "kl"),
        configured=_number(evidence, "learning_rate"),
        clip=_number(evidence, "max_grad_norm"),
        moved=bool(moving.any()),
        recent=int(rollouts.step[recent].min()) if recent.any() else 0,
    )


def _series(evidence: RunEvidence, name: str) -> Series:
    """(step, value) of what was logged under that name, of the newest attempt.

    A row counts the updates that were complete, so it tells of the step before.
    """
    newest: dict[int, tuple[int, float]] = {}
    for row in evidence.metrics:
        value = row.values.get(name)
        if value is None or row.mode != "train":
            continue
        if row.attempt >= newest.get(row.step, (-1, 0.0))[0]:
            newest[row.step] = row.attempt, float(value)
    return [(max(step - 1, 0), newest[step][1]) for step in sorted(newest)]


def _number(evidence: RunEvidence, name: str) -> float | None:
    value = evidence.setting(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
