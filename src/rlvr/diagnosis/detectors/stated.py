"""Rollouts that state the reference answer, and what a reward component gives them."""

import math
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import Share, Side, share
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.thresholds import STATING_GROUPS
from rlvr.record import Trajectory
from rlvr.utils.answers import final_answer
from rlvr.utils.tags import boxed, tag_bodies


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactAnswer:
    """A rollout with contents whose last answer is the reference, character for character.

    `marked`: it stands in an answer tag or a box. `empty`: the component gave it nothing;
    `full`: everything. `turn` is that of the answer.
    """

    id: str
    step: int
    example: str
    turn: int
    marked: bool
    empty: bool
    full: bool


@dataclass(frozen=True, kw_only=True)
class StatingRollouts:
    """A component beside the rollouts that state the reference answer.

    `empty` marks the rollouts to which it gives its lowest value, `stating` those that state the
    reference and that it scored; both of shape (rollouts,). `unseen` is the share of the former
    among the latter from step `since` on, `exact` those of all steps that answer with exactly the
    reference. `lowest` is -inf where even the lowest value is full.
    """

    name: str
    values: Floats
    empty: Mask
    stating: Mask
    unseen: Share
    exact: tuple[ExactAnswer, ...]
    since: int
    lowest: float

    @property
    def exact_now(self) -> tuple[ExactAnswer, ...]:
        """Those of the steps that `unseen` is about."""
        return tuple(answer for answer in self.exact if answer.step >= self.since)

    @property
    def nothing(self) -> str:
        """The lowest value, as a sentence says it."""
        return "nothing" if self.lowest <= 0 else f"the lowest value, {self.lowest:g},"


def judging_components(evidence: RunEvidence) -> tuple[str, ...]:
    """The component that the run names as its outcome, else those of the largest weight, or the
    only one whatever its weight."""
    known = evidence.rollouts.component_names
    named = evidence.signal.named_outcome
    if named in known:
        return (named,)
    weights = {n: w for n, w in evidence.signal.weights.items() if n in known and w > 0}
    if not weights:
        return known if len(known) == 1 and not evidence.signal.weights else ()
    return tuple(name for name, weight in weights.items() if weight == max(weights.values()))


def stating_rollouts(evidence: RunEvidence, name: str) -> StatingRollouts:
    """What a component gives to rollouts that state the reference: of the last steps, if these
    have ten groups with one."""
    rollouts = evidence.rollouts
    values = rollouts.component(name)
    finite = np.isfinite(values)
    low, high = _range(values[finite])
    empty = finite & (values <= low + FLAT_SPREAD)
    stating = rollouts.is_true("derived_reference_in_answer") & finite
    recent = stating & rollouts.recent
    asked = recent if rollouts.clusters(recent) >= STATING_GROUPS else stating
    return StatingRollouts(
        name=name,
        values=values,
        empty=empty,
        stating=stating,
        unseen=share(
            int((empty & asked).sum()), int(asked.sum()), clusters=rollouts.clusters(asked)
        ),
        exact=tuple(
            scored
            for trajectory in evidence.contents
            if (scored := _exact(trajectory, name, low, high)) is not None
        ),
        since=int(rollouts.step[asked].min()) if asked.any() else 0,
        lowest=low,
    )


def _range(values: Floats) -> tuple[float, float]:
    """The lowest and the highest value; no lowest where even that is full."""
    if not values.size:
        return -math.inf, math.inf
    low = float(values.min())
    return (-math.inf if low >= 1.0 - FLAT_SPREAD else low), float(values.max())


def _exact(trajectory: Trajectory, name: str, low: float, high: float) -> ExactAnswer | None:
    component = trajectory.component(name)
    reference = (trajectory.answer or "").strip()
    texts = [message.text for message in trajectory.completion if message.role == "assistant"]
    if not texts or not reference or component is None or component.value is None:
        return None
    answer = final_answer(texts[-1])
    if (boxed(answer) or answer) != reference or not math.isfinite(component.value):
        return None
    return ExactAnswer(
        id=trajectory.id or "",
        step=trajectory.step,
        example=trajectory.example_id or trajectory.group_id,
        turn=len(texts) - 1,
        marked=bool(tag_bodies(texts[-1], "answer")) or boxed(texts[-1]) is not None,
        empty=component.value <= low + FLAT_SPREAD,
        full=component.value >= high - FLAT_SPREAD and high > low,
    )


def others_that_see(evidence: RunEvidence, found: StatingRollouts) -> tuple[str, ...]:
    """Components that give their best to most rollouts stating the reference, and to few others."""
    rollouts = evidence.rollouts
    silent_on = ~rollouts.is_true("derived_reference_in_answer") & np.isfinite(found.values)
    seeing = []
    for name in rollouts.component_names:
        if name == found.name or evidence.signal.weights.get(name, 0.0) <= 0:
            continue
        values = rollouts.component(name)
        best = values >= np.max(values, where=np.isfinite(values), initial=0.0) - FLAT_SPREAD
        sides = [
            share(
                int((best & where).sum()), int(where.sum()), clusters=rollouts.clusters(where)
            ).side(0.5)
            for where in (found.stating & np.isfinite(values), silent_on & np.isfinite(values))
        ]
        if sides == [Side.ABOVE, Side.BELOW]:
            seeing.append(name)
    return tuple(seeing)
