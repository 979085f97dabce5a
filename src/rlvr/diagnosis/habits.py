"""How often the policy does something: now, at first, and in the whole run."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.statistics import Share, Side, clustered
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.finding import Number, Severity, Unknown
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import EARLY_SHARE, LARGE_MAJORITY
from rlvr.record import Trajectory


class Standing(StrEnum):
    """What the record proves of a habit.

    most: the large majority shows it now. often: more than the threshold do. healed: few do now,
    more did at first. rare: few do. unsure: nobody can tell.
    """

    MOST = "most"
    OFTEN = "often"
    HEALED = "healed"
    RARE = "rare"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """The share of the trials that are hits: `now` in the recent rollouts, `early` in those of the
    first third of the steps that are not recent, and `whole` in all.

    `groups` and `rollouts` count what `now` is made of.
    """

    now: Share
    early: Share
    whole: Share
    groups: int
    rollouts: int

    def standing(self, threshold: float) -> Standing:
        """Where the habit stands against a threshold. One never seen is judged by the whole run."""
        judged = self.now if self.whole.hits else self.whole
        if judged.side(LARGE_MAJORITY) is Side.ABOVE:
            return Standing.MOST
        side = judged.side(threshold)
        if side is Side.ABOVE:
            return Standing.OFTEN
        if side is Side.UNSURE:
            return Standing.UNSURE
        return Standing.HEALED if self.early.side(threshold) is Side.ABOVE else Standing.RARE

    @property
    def then(self) -> str:
        """Its share at first in words, to stand after that of now; empty where there is none to
        tell: without an early part, or if it was never seen."""
        if not self.early.trials or not self.whole.hits:
            return ""
        return f" ({percent(self.early.value)} in the first third of the run)"

    def of(self, noun: str) -> str:
        """Its share now in words: of the whole run where it was never seen."""
        if not self.whole.hits:
            return f"none of {int(self.whole.trials):,} {noun}"
        return f"{percent(self.now.value)} of the {noun}{self.then}"

    def numbers(self, name: str) -> tuple[Number, ...]:
        """Its shares as numbers of a finding."""
        found = (
            Number(name=f"{name}, now", value=self.now.value, unit="share"),
            Number(name=f"{name}, whole run", value=self.whole.value, unit="share"),
        )
        if not self.early.trials:
            return found
        return (
            *found,
            Number(name=f"{name}, first third", value=self.early.value, unit="share"),
        )

    def unknown(self, code: str, what: str, threshold: float) -> Unknown:
        """That the sample is too small; `what` follows the counts: "rollouts are cut"."""
        judged = self.now if self.whole.hits else self.whole
        if not judged.trials:
            return Unknown(
                code=code,
                because=f"no recent rollout could show it; of {int(self.whole.trials):,} earlier"
                f" ones {int(self.whole.hits):,} {what}",
                needs="more training steps",
            )
        return Unknown(
            code=code,
            because=f"{int(judged.hits):,} of {int(judged.trials):,} {what}, in"
            f" {self.groups:,} groups: too few to tell {percent(judged.value)} from"
            f" {percent(threshold)}",
            needs="more training steps",
        )


def habit(rollouts: Rollouts, hits: Floats | Mask, trials: Floats | Mask) -> Habit:
    """Measure a habit. `hits` and `trials` have a count or a flag for each rollout."""
    asked = trials > 0
    return Habit(
        now=_share(rollouts, hits, trials, rollouts.recent),
        early=_share(rollouts, hits, trials, rollouts.early),
        whole=_share(rollouts, hits, trials, np.ones(len(rollouts), np.bool_)),
        groups=rollouts.clusters(rollouts.recent & asked),
        rollouts=int((rollouts.recent & asked).sum()),
    )


def _end_of_early(rollouts: Rollouts) -> int:
    steps = rollouts.steps
    if not len(steps):
        return 0
    return int(steps[min(len(steps) - 1, round(len(steps) * EARLY_SHARE))])


def _share(rollouts: Rollouts, hits: Floats | Mask, trials: Floats | Mask, where: Mask) -> Share:
    chosen = where & (trials > 0)
    group = rollouts.group[chosen]
    hit: Floats = np.bincount(group, weights=hits[chosen].astype(np.float64)).astype(np.float64)
    tried: Floats = np.bincount(group, weights=trials[chosen].astype(np.float64)).astype(np.float64)
    return clustered(hit[tried > 0], tried[tried > 0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Turning:
    """The step that parts the run best, and a habit's share before it and from it on."""

    step: int
    before: Share
    after: Share

    @property
    def risen(self) -> bool:
        """Whether it is proven to be more frequent after than before."""
        return bool(self.before.trials and self.after.trials and self.after.low > self.before.high)


def turning_point(rollouts: Rollouts, hits: Mask, trials: Mask | None = None) -> Turning | None:
    """The step from which on a habit is more frequent: the one that parts the run best.

    That is where the cumulative sum of the deviations from the mean is lowest. `trials` are the
    rollouts that can show the habit, all of them if None. None where no later step is above the
    steps before it.
    """
    steps = rollouts.steps
    asked = np.ones(len(rollouts), np.bool_) if trials is None else trials
    if not asked.any():
        return None
    flags = (hits & asked).astype(np.float64)
    deviations = np.where(asked, flags - flags[asked].mean(), 0.0)
    by_step = np.bincount(
        np.searchsorted(steps, rollouts.step), weights=deviations, minlength=len(steps)
    )
    start = int(np.argmin(np.cumsum(by_step))) + 1
    if start >= len(steps):
        return None
    before = rollouts.step < steps[start]
    ones = asked.astype(np.float64)
    return Turning(
        step=int(steps[start]),
        before=_share(rollouts, flags, ones, before),
        after=_share(rollouts, flags, ones, ~before),
    )


def begins(rollouts: Rollouts, hits: Mask, trials: Mask | None = None) -> int | None:
    """The step from which on a habit that stands out is proven to be more frequent than before.

    The first step of the run where it is not, so that it was there all the time; None without a
    hit. For a habit with a threshold of its own, `since_step` says more.
    """
    if not (hits if trials is None else hits & trials).any():
        return None
    turning = turning_point(rollouts, hits, trials)
    if turning is not None and turning.risen:
        return turning.step
    return int(rollouts.steps[0])


def since_step(
    rollouts: Rollouts, hits: Mask, threshold: float, trials: Mask | None = None
) -> int | None:
    """The step since which a habit is above the threshold, None where it can't be dated.

    It is the turning point, if the part before is proven below the threshold and the part after
    above. A habit that is above it in the first steps already is dated to the first.
    """
    if not len(rollouts.steps):
        return None
    turning = turning_point(rollouts, hits, trials)
    if (
        turning is not None
        and turning.before.side(threshold) is Side.BELOW
        and turning.after.side(threshold) is Side.ABOVE
    ):
        return turning.step
    first = rollouts.step <= _end_of_early(rollouts)
    ones = np.ones(len(rollouts)) if trials is None else trials.astype(np.float64)
    above = _share(rollouts, hits.astype(np.float64) * ones, ones, first).side(threshold)
    return int(rollouts.steps[0]) if above is Side.ABOVE else None


def dated(
    rollouts: Rollouts, hits: Mask, threshold: float, trials: Mask | None = None
) -> int | None:
    """The step since which what was found is above its threshold: `since_step`, or, where that
    can't be proven, the step that parts the run best. None without a hit."""
    proven = since_step(rollouts, hits, threshold, trials)
    return proven if proven is not None else begins(rollouts, hits, trials)


def lost(evidence: RunEvidence, hits: Mask) -> int:
    """How many of the rollouts give no gradient."""
    return int((hits & ~evidence.signal.gives_gradient).sum())


def outcomes(evidence: RunEvidence) -> Floats:
    """What says most whether a rollout is right: its outcome component, or its reward."""
    name = evidence.signal.outcome
    rollouts = evidence.rollouts
    return rollouts.component(name) if name else rollouts.numbers("reward")


def improved(evidence: RunEvidence) -> bool:
    """Whether the outcome is proven to be higher now than in the first third of the run."""
    values, rollouts = outcomes(evidence), evidence.rollouts
    finite = np.isfinite(values)
    if not finite.any():
        return False
    low, high = float(values[finite].min()), float(values[finite].max())
    if high - low <= FLAT_SPREAD:
        return False
    scaled = np.where(finite, (values - low) / (high - low), 0.0)
    ones = finite.astype(np.float64)
    now = _share(rollouts, scaled, ones, rollouts.recent)
    early = _share(rollouts, scaled, ones, rollouts.early)
    return bool(now.trials and early.trials and now.low > early.high)


def earn_nothing(evidence: RunEvidence, hits: Mask) -> bool:
    """Whether the large majority of the rollouts get the lowest outcome of the run, or are masked
    out of the loss."""
    values = outcomes(evidence)
    finite = np.isfinite(values)
    masked = evidence.signal.holds[Reason.EMPTY_MASK]
    judged = hits & (finite | masked)
    if not judged.any():
        return False
    lowest = float(values[finite].min()) if finite.any() else 0.0
    nothing = masked | (finite & (values <= lowest + FLAT_SPREAD))
    return bool(nothing[judged].mean() > LARGE_MAJORITY)


def severity(evidence: RunEvidence, standing: Standing, hits: Mask) -> Severity:
    """Of a habit that stands out: error if most show it and earn nothing by it."""
    if standing is Standing.HEALED:
        return Severity.NOTE
    grave = standing is Standing.MOST and earn_nothing(evidence, hits)
    return Severity.ERROR if grave else Severity.WARNING


def mean_reward(evidence: RunEvidence, where: Mask) -> float | None:
    """The mean of the finite rewards there, None without one."""
    rewards = evidence.rollouts.numbers("reward")[where]
    finite = rewards[np.isfinite(rewards)]
    return float(finite.mean()) if finite.size else None


def rewards_apart(evidence: RunEvidence, hits: Mask, others: Mask, name: str) -> str:
    """A sentence that compares their rewards; empty where one side has none, or is too small
    beside the other (less than a tenth) to be compared with it."""
    of_hits, of_others = mean_reward(evidence, hits), mean_reward(evidence, others)
    fewer, more = sorted((int(hits.sum()), int(others.sum())))
    if of_hits is None or of_others is None or 10 * fewer < more:
        return ""
    return f" The {name} get a reward of {of_hits:.2f} on average, the others {of_others:.2f}."


def first_recent_step(evidence: RunEvidence) -> int:
    """The step with which the recent ones of the rollouts with messages begin, 0 without any.

    Messages are read of few steps, so these are those of the later half of them, or of the steps
    that are recent, where these are more.
    """
    steps = sorted({trajectory.step for trajectory in evidence.contents})
    if not steps:
        return 0
    rollouts = evidence.rollouts
    first = int(rollouts.step[rollouts.recent].min()) if len(rollouts) else 0
    return min(first, steps[len(steps) // 2])


def recent_contents(evidence: RunEvidence) -> tuple[Trajectory, ...]:
    """The rollouts with messages that belong to the recent steps."""
    first = first_recent_step(evidence)
    return tuple(trajectory for trajectory in evidence.contents if trajectory.step >= first)


def calls_without_results(contents: tuple[Trajectory, ...]) -> bool:
    """Whether there are rollouts that call, and not one of them has the result of a call."""
    calling = [trajectory for trajectory in contents if trajectory.tool_calls]
    return bool(calling) and not any(trajectory.tool_results for trajectory in calling)


def last_turn(rollouts: Rollouts) -> Ints:
    """The last assistant turn of each rollout, counted from 0; -1 where there is none."""
    return np.nan_to_num(rollouts.numbers("derived_num_turns") - 1, nan=-1).astype(np.int64)


def length_words(lengths: Floats | Sequence[float], unit: str) -> str:
    """The median of the lengths and the 99th percentile in words, empty without any."""
    known = np.asarray(lengths, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return ""
    middle, long = np.percentile(known, [50, 99])
    return f"{middle:,.0f} {unit} in the median, {long:,.0f} at the 99th percentile"


def percent(value: float) -> str:
    """A share in percent, never rounded to none or to all of them."""
    if 0 < value < 0.0005:
        return "under 0.1%"
    if 0.9995 < value < 1:
        return "over 99.9%"
    near_an_end = 0 < value < 0.01 or 0.99 < value < 1
    return f"{value:.1%}" if near_an_end else f"{value:.0%}"
