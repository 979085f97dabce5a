"""Do answers grow or shrink over the training, and does it pay?"""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.statistics import Z
from rlvr.analysis.within import correlation, deviations
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
    begins,
    earn_nothing,
    improved,
    lost,
    outcomes,
    percent,
)
from rlvr.diagnosis.thresholds import LENGTH_CHANGE

CODE = "length-trend"

_FEWEST_GROUPS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lengths:
    """Sampled tokens a turn of the rollouts; `asked` are those that count: not failed, of a length.

    Of a turn, since a rollout of fewer calls is shorter too: that is tool-use-drift.

    `early` and `now` are the medians of the groups' median lengths in the first third of the steps
    and in the last, with the interval of 99 % of `now`.
    """

    tokens: Floats
    asked: Mask
    early: float
    now: float
    now_low: float
    now_high: float

    @property
    def grows(self) -> bool:
        """Proven to be LENGTH_CHANGE times as long."""
        return self.now_low > LENGTH_CHANGE * self.early

    @property
    def shrinks(self) -> bool:
        """Proven to be as many times shorter."""
        return self.now_high < self.early / LENGTH_CHANGE


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Tokens a turn that doubled or halved, beside what the outcome did."""
    rollouts = evidence.rollouts
    turns = np.nan_to_num(rollouts.numbers("derived_num_turns"), nan=1.0)
    tokens = rollouts.numbers("sampled_tokens") / np.maximum(turns, 1.0)
    if not np.isfinite(tokens).any():
        return (
            Unknown(
                code=CODE,
                because="no rollout says how many tokens were sampled",
                needs="sampled_tokens, which rlvr's trainers record",
            ),
        )
    found = _lengths(evidence, tokens)
    if found is None:
        return (
            Unknown(
                code=CODE,
                because=f"{len(rollouts.steps):,} steps have too few groups early and late to tell"
                " a trend",
                needs="more training steps",
            ),
        )
    if found.grows or found.shrinks:
        return (_finding(evidence, found),)
    return (
        Healthy(
            code=CODE,
            sentence=f"{found.now:,.0f} tokens a turn in the median, {found.early:,.0f} in the"
            " first third of the run",
            numbers=(
                Number(name="tokens a turn, now", value=found.now, unit="tokens"),
                Number(name="tokens a turn, first third", value=found.early, unit="tokens"),
            ),
        ),
    )


def _lengths(evidence: RunEvidence, tokens: Floats) -> _Lengths | None:
    """None where one of the two parts has too few groups."""
    rollouts = evidence.rollouts
    failed = rollouts.equals("stop_reason", "error")
    asked = np.isfinite(tokens) & ~failed
    early = _medians(tokens, rollouts.group, asked & rollouts.early)
    now = _medians(tokens, rollouts.group, asked & rollouts.recent)
    if min(len(early), len(now)) < _FEWEST_GROUPS:
        return None
    low, high = _interval(now)
    return _Lengths(
        tokens=tokens,
        asked=asked,
        early=float(np.median(early)),
        now=float(np.median(now)),
        now_low=low,
        now_high=high,
    )


def _medians(values: Floats, group: Ints, where: Mask) -> Floats:
    """The median of each group that has a value there."""
    chosen, of = values[where], group[where]
    order = np.lexsort((chosen, of))
    chosen, of = chosen[order], of[order]
    _, first, count = np.unique(of, return_index=True, return_counts=True)
    lower, upper = chosen[first + (count - 1) // 2], chosen[first + count // 2]
    return np.asarray((lower + upper) / 2)


def _interval(medians: Floats) -> tuple[float, float]:
    """Bounds of the median by ranks: the sign test's, as a normal quantile gives them."""
    ordered, count = np.sort(medians), len(medians)
    half = Z * np.sqrt(count) / 2
    low = max(0, int(np.floor(count / 2 - half)))
    high = min(count - 1, int(np.ceil(count / 2 + half)))
    return float(ordered[low]), float(ordered[high])


def _finding(evidence: RunEvidence, found: _Lengths) -> Finding:
    rollouts = evidence.rollouts
    better = improved(evidence)
    middle = float(np.sqrt(found.early * found.now))
    beyond = found.asked & ((found.tokens > middle) == found.grows)
    shown = beyond & rollouts.recent
    return Finding(
        code=CODE,
        severity=_severity(evidence, found, better),
        sentence=_sentence(evidence, found, better),
        rollouts=len(rollouts),
        lost=lost(evidence, shown),
        numbers=_numbers(evidence, found),
        plot=Plot(
            title="sampled tokens a turn, and mean outcome",
            series={
                "tokens": rollouts.by_step(found.tokens, found.asked),
                "outcome": rollouts.by_step(outcomes(evidence)),
            },
        ),
        examples=examples_of(
            rollouts,
            shown,
            why="among the longest now" if found.grows else "among the shortest now",
            order=-found.tokens if found.grows else found.tokens,
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="sample the same prompts with the first and the last checkpoint: if both write"
        " as much, the prompts have changed and not the policy.",
        remedy=_GROWN if found.grows else _SHRUNK,
        since_step=begins(rollouts, beyond, found.asked),
    )


def _severity(evidence: RunEvidence, found: _Lengths, better: bool) -> Severity:
    """A note where it pays; an error where answers shrank away and earn nothing any more."""
    if better:
        return Severity.NOTE
    rollouts = evidence.rollouts
    gone = found.shrinks and earn_nothing(evidence, rollouts.recent & found.asked)
    earned = not earn_nothing(evidence, rollouts.early & found.asked)
    return Severity.ERROR if gone and earned else Severity.WARNING


def _sentence(evidence: RunEvidence, found: _Lengths, better: bool) -> str:
    times = found.now / max(found.early, 1.0) if found.grows else found.early / max(found.now, 1.0)
    what = "grew" if found.grows else "shrank"
    pays = "; the outcome rose with it" if better else ", and the outcome did not rise"
    cut = evidence.rollouts.numbers("derived_num_cut_turns") > 0
    now = float(cut[evidence.rollouts.recent].mean())
    limit = f" {percent(now)} of the recent ones are cut at a limit." if found.grows and now else ""
    return (
        f"Turns {what} to {found.now:,.0f} tokens in the median, from {found.early:,.0f} in the"
        f" first third of the run ({times:.1f} times){pays}.{limit}"
    )


def _numbers(evidence: RunEvidence, found: _Lengths) -> tuple[Number, ...]:
    rollouts = evidence.rollouts
    cut = (rollouts.numbers("derived_num_cut_turns") > 0) & rollouts.recent
    return (
        Number(name="tokens a turn, now", value=found.now, unit="tokens"),
        Number(name="tokens a turn, first third", value=found.early, unit="tokens"),
        Number(
            name="correlation of length and reward within groups",
            value=_correlation(evidence, found),
        ),
        Number(
            name="cut at a limit, now", value=float(cut.sum() / rollouts.recent.sum()), unit="share"
        ),
        Number(name="max_tokens", value=evidence.limit("max_tokens"), unit="tokens"),
    )


def _correlation(evidence: RunEvidence, found: _Lengths) -> float | None:
    """How tokens and reward move together within groups; None where never both vary."""
    rollouts = evidence.rollouts
    reward = rollouts.numbers("reward")
    used = found.asked & np.isfinite(reward)
    length, paid = (
        deviations(np.where(used, values, np.nan), rollouts.group)
        for values in (found.tokens, reward)
    )
    within = correlation(length, paid, rollouts.group)
    return None if within is None else round(within.value, 3)


_GROWN = (
    "Look at the correlation: above 0 the reward pays for length; near 0 the loss does, since"
    " dividing by the length of each answer lets long wrong ones weigh less (Dr. GRPO,"
    " arXiv 2503.20783: loss_type dr_grpo or bnpo). A soft penalty near the limit (DAPO,"
    " arXiv 2503.14476) stops it; raise the limit only where long answers are right."
)
_SHRUNK = (
    "Look at the correlation: below 0 the reward pays for being short. Take a penalty for length"
    " out, or let it count for right answers alone; where thoughts vanish, look whether answers can"
    " be guessed. Go back to a checkpoint before it."
)

_LOOKALIKES = (
    LookAlike(
        what="a policy that learns to think longer, and is right more often",
        told_apart_by="the outcome rises with the length; it is a note then",
    ),
    LookAlike(
        what="more turns or fewer, each as long as ever",
        told_apart_by="tokens are counted a turn here; tool-use-drift counts the calls",
    ),
    LookAlike(
        what="answers that are cut",
        told_apart_by="they have max_tokens to the token; truncation counts them",
    ),
    LookAlike(
        what="gibberish after a divergence, up to the limit",
        told_apart_by="gradient, KL or entropy jump at the same step (divergence)",
    ),
)
