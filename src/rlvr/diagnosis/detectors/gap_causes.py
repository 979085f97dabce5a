"""Where the gap between trainer and sampler comes from, as far as turns, steps and lag tell."""

import math
from enum import StrEnum

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.positions import Positions, positions
from rlvr.diagnosis.thresholds import GAP

_START_SHARE = 0.1
_GROWN = 2.0


class Cause(StrEnum):
    """What a large gap looks like.

    explained: the rollouts were trained in another context or on other tokens. history: turns after
    the first. lag: rollouts of older weights. growing: small when training began. position: later
    tokens of a first turn, not its first ones. always: from the first turn of the first step on.
    temperature: so too, of a server that may report logprobs before it divides by the temperature.
    """

    EXPLAINED = "explained"
    HISTORY = "history"
    LAG = "lag"
    GROWING = "growing"
    POSITION = "position"
    ALWAYS = "always"
    TEMPERATURE = "temperature"


def average(values: Floats, where: Mask) -> float:
    """Mean over the rollouts chosen, NaN without a finite value."""
    used = values[where & np.isfinite(values)]
    return float(used.mean()) if used.size else math.nan


def start_of(evidence: RunEvidence) -> Mask:
    """Rollouts with a gap of the first tenth of the steps that have one, of one step at least."""
    gaps, step = evidence.signal.gaps, evidence.rollouts.step
    steps = np.unique(step[gaps.known])
    if not steps.size:
        return gaps.known
    last = steps[max(0, round(len(steps) * _START_SHARE) - 1)]
    return np.asarray(gaps.known & (step <= last))


def cause_of(evidence: RunEvidence, where: Mask) -> Cause:
    """What the gap of the rollouts chosen looks like."""
    signal, gaps = evidence.signal, evidence.signal.gaps
    elsewhere = signal.holds[Reason.CONTEXT] | signal.holds[Reason.TOKENS]
    found = where & gaps.over
    if (found & elsewhere).sum() > found.sum() / 2:
        return Cause.EXPLAINED
    if _lagging(evidence, where):
        return Cause.LAG
    if _growing(evidence, where):
        return Cause.GROWING
    if average(gaps.first, where) <= GAP < average(gaps.later, where):
        return Cause.HISTORY
    if _by_position(evidence, where):
        return Cause.POSITION
    return Cause.ALWAYS if other_temperature(evidence) is None else Cause.TEMPERATURE


def other_temperature(evidence: RunEvidence) -> float | None:
    """The sampling temperature where it is not 1 and the sampler is a server."""
    if evidence.info is None or evidence.info.inference == "embedded":
        return None
    temperature = evidence.info.sampling.get("temperature")
    return temperature if isinstance(temperature, int | float) and temperature != 1 else None


def _by_position(evidence: RunEvidence, where: Mask) -> bool:
    """Whether first turns begin as near as rounding makes it, and end far apart."""
    found = positions_of(evidence, where)
    if found is None or not found.enough:
        return False
    return found.start <= GAP < found.end and found.end > _GROWN * found.start


def positions_of(evidence: RunEvidence, where: Mask) -> Positions | None:
    """The gap by place in the first turn, of the rollouts chosen that have token details."""
    chosen = {evidence.rollouts.ids[int(row)] for row in np.flatnonzero(where)}
    return positions([one for one in evidence.details if one.id in chosen])


def _growing(evidence: RunEvidence, where: Mask) -> bool:
    """Small when training began, also in later turns if it is only these that are large now."""
    gaps, start = evidence.signal.gaps, start_of(evidence)
    at_start = average(gaps.largest, start)
    if at_start > GAP or not average(gaps.largest, where) > _GROWN * at_start:
        return False
    return average(gaps.first, where) > GAP or not math.isnan(average(gaps.later, start))


def _lagging(evidence: RunEvidence, where: Mask) -> bool:
    """Small wherever the weights were the newest, and not growing where they were older."""
    rollouts, size = evidence.rollouts, evidence.signal.gaps.largest
    known = evidence.signal.gaps.known
    lag = rollouts.step - rollouts.numbers("derived_policy_version")
    fresh, older = known & (lag == 0), known & (lag > 0)
    if not (fresh.any() and (older & where).any()):
        return False
    steps = np.unique(rollouts.step[older])
    early = older & (rollouts.step <= steps[len(steps) // 3])
    grown = average(size, older & where) > _GROWN * average(size, early)
    return average(size, fresh) <= GAP and not grown
