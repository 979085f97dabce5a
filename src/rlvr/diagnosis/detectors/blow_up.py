"""Do tiny differences of reward become advantages of full size?"""

import math
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import Share, Side, share
from rlvr.analysis.within import spreads
from rlvr.diagnosis.detectors.wording import percent
from rlvr.diagnosis.deviations import Deciders
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
from rlvr.diagnosis.habits import begins
from rlvr.diagnosis.thresholds import FLAT_COSTLY, FLAT_NOTED, FULL_SIZE, TINY_SPREAD

CODE = "advantage-blow-up"


@dataclass(frozen=True, kw_only=True)
class _Blown:
    """Rollouts whose advantage has full size although their group's rewards hardly differ.

    Shape (rollouts,): `moved` have an advantage that is not 0, `tiny` belong to a group of tiny
    spread, `blown` are both and of full size. `typical` is the spread that the others are measured
    by; `now` the share of the blown among the moved of the last steps.
    """

    moved: Mask
    tiny: Mask
    blown: Mask
    spread: Floats
    size: Floats
    typical: float
    now: Share


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Groups of a spread far below the run's, whose advantages are as large as the others'."""
    rollouts = evidence.rollouts
    if not rollouts.known("advantage").any():
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded its advantage",
                needs="a trainer that records advantages, as those of rlvr.trainers do",
            ),
        )
    found = _blown(evidence)
    if not found.moved.any():
        return (
            Unknown(
                code=CODE,
                because="no rollout has an advantage other than 0",
                needs="groups whose rewards differ",
            ),
        )
    return (_judged(evidence, found),)


def _blown(evidence: RunEvidence) -> _Blown:
    rollouts = evidence.rollouts
    advantage = rollouts.numbers("advantage")
    flat = rollouts.groups.flat[rollouts.group] if len(rollouts) else np.zeros(0, np.bool_)
    spread, size = (
        spreads(values, rollouts.group)[rollouts.group] if len(rollouts) else values
        for values in (rollouts.numbers("reward"), advantage)
    )
    moved = np.isfinite(advantage) & np.isfinite(spread) & (size > 0) & ~flat
    typical, usual = _typical(evidence, spread, moved), 0.0
    if moved.any():
        usual = float(np.percentile(size[moved], 90))
    tiny = moved & (spread < TINY_SPREAD * typical)
    blown = tiny & (size > FULL_SIZE * usual)
    now = moved & rollouts.recent
    return _Blown(
        moved=moved,
        tiny=tiny,
        blown=blown,
        spread=spread,
        size=size,
        typical=typical,
        now=share(int((blown & now).sum()), int(now.sum()), clusters=rollouts.clusters(now)),
    )


def _typical(evidence: RunEvidence, spread: Floats, moved: Mask) -> float:
    """The spread of groups in which answers differ: the 90th percentile, or what a single right
    answer gives a group, where that is more.

    One of n rollouts with the outcome's weight w more has a deviation of w / sqrt(n).
    """
    seen = float(np.percentile(spread[moved], 90)) if moved.any() else 0.0
    outcome = evidence.signal.outcome
    weight = abs(evidence.signal.weights.get(outcome, 0.0)) if outcome else 0.0
    sizes = evidence.rollouts.groups.size
    if not len(sizes) or not math.isfinite(weight):
        return seen
    return max(seen, weight / math.sqrt(float(sizes.max())))


def _judged(evidence: RunEvidence, found: _Blown) -> Outcome:
    if found.now.side(FLAT_NOTED) is Side.ABOVE:
        return _finding(evidence, found)
    if not found.tiny.any():
        return Healthy(
            code=CODE,
            sentence=f"no group with a gradient has a spread below"
            f" {percent(TINY_SPREAD)} of {found.typical:.2g}",
        )
    if not found.blown.any():
        return Healthy(
            code=CODE, sentence="advantages shrink with the spread of their group's rewards"
        )
    if found.now.side(FLAT_COSTLY) is Side.BELOW or not found.now.hits:
        return Healthy(
            code=CODE,
            sentence=f"{percent(found.now.value)} of the advantages of the last steps are tiny"
            " differences of reward, scaled up",
        )
    return Unknown(
        code=CODE,
        because=f"{percent(found.now.value)} of the advantages of the last steps are tiny"
        f" differences, scaled up: too few groups to tell that from {percent(FLAT_COSTLY)}",
        needs="more steps",
    )


def _finding(evidence: RunEvidence, found: _Blown) -> Finding:
    rollouts = evidence.rollouts
    now = found.blown & rollouts.recent
    deciders = Deciders.of(evidence)
    shares = deciders.shares(now)
    first = next(iter(shares), None)
    spread = float(np.median(found.spread[now]))
    who = f" There {first} decides {percent(shares[first])} of the signs." if first else ""
    costly = found.now.side(FLAT_COSTLY) is Side.ABOVE
    return Finding(
        code=CODE,
        severity=Severity.WARNING if costly else Severity.NOTE,
        sentence=f"{percent(found.now.value)} of the advantages of the last steps come from groups"
        f" whose rewards hardly differ (a deviation of {spread:.2g} where"
        f" {found.typical:.2g} is usual), and are as large as all others.{who}",
        rollouts=len(rollouts),
        numbers=(
            Number(name="advantages of tiny spreads now", value=found.now.value, unit="share"),
            Number(name="usual deviation of a group's rewards", value=found.typical),
            Number(name="deviation in these groups, median", value=spread),
            Number(
                name="size of their advantages, median", value=float(np.median(found.size[now]))
            ),
            *(
                Number(name=f"signs there decided by {name}", value=value, unit="share")
                for name, value in shares.items()
            ),
        ),
        plot=Plot(
            title="share of the advantages that come from tiny spreads",
            series={"tiny spreads": _by_step(evidence, found)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts, now, why="its group's rewards hardly differ", order=found.spread
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="`rlvr show RUN GROUP` of an example's group shows rewards and advantages: if"
        " the rewards differ by more than the numbers here say, the finding is wrong.",
        remedy="set scale_rewards=False (Dr. GRPO), or divide by the deviation of the whole batch"
        ' (scale_rewards="batch" in TRL); take components out that differ by noise, and prompts'
        " that are always or never solved.",
        since_step=begins(rollouts, found.blown, found.moved),
    )


def _by_step(evidence: RunEvidence, found: _Blown) -> list[tuple[int, float]]:
    return evidence.rollouts.by_step(np.where(found.moved, found.blown, np.nan))


_LOOKALIKES = (
    LookAlike(
        what="groups without any spread",
        told_apart_by="their advantages are 0 and teach nothing (zero-variance-groups)",
    ),
    LookAlike(
        what="a graded reward whose levels lie close together",
        told_apart_by="then all groups have small spreads, and the usual one is small too",
    ),
    LookAlike(
        what="advantages that were computed wrong",
        told_apart_by="they do not follow from the rewards of their group (wrong-advantage)",
    ),
)
