"""The ledger of the gradient: what became of the signal of every training rollout.

Each rollout stands on exactly one line, so the lines add up to all rollouts. A rollout that gives
no gradient is lost, whatever else is wrong with it; one that gives a wrong gradient is corrupted,
by the first cause in the order of `Reason`; one whose tokens or advantage nobody recorded is
unverified.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.diagnosis.gaps import Gaps
from rlvr.diagnosis.normalisation import FLAT_ADVANTAGE, AdvantageCheck, check_advantages
from rlvr.diagnosis.rollouts import Rollouts

_FULL = 0.999


class Fate(StrEnum):
    """What became of a rollout's signal."""

    SOUND = "sound"
    LOST = "lost"
    CORRUPTED = "corrupted"
    UNVERIFIED = "unverified"


class Reason(StrEnum):
    """Why a rollout is where it stands, in the order in which the causes are asked for."""

    ROLLOUT_ERROR = "rollout_error"
    SCORER_ERROR = "scorer_error"
    DROPPED = "dropped"
    TRUNCATED = "truncated_and_masked"
    EMPTY_MASK = "empty_loss_mask"
    ALL_SOLVED = "all_solved"
    ALL_FAILED = "all_failed"
    CONSTANT = "constant"
    CONTEXT = "context_not_attended"
    TOKENS = "tokens_not_sampled"
    MASK = "mask_on_wrong_roles"
    POLICY = "wrong_policy_version"
    GAP = "sampler_disagrees"
    COUNTED_ERROR = "error_counted_as_reward"
    ADVANTAGE = "wrong_advantage"
    DISAGREEMENT = "scorer_disagrees"
    NO_EVIDENCE = "no_token_evidence"
    REACHED = "reached_the_gradient"

    @property
    def fate(self) -> Fate:
        """The fate that the reason stands for."""
        return _FATES[self]

    @property
    def meaning(self) -> str:
        """The reason in some words."""
        return _MEANINGS[self]


_MEANINGS: Mapping[Reason, str] = {
    Reason.ROLLOUT_ERROR: "generation or environment failed",
    Reason.SCORER_ERROR: "a scorer raised or timed out",
    Reason.DROPPED: "its batch never reached an update",
    Reason.TRUNCATED: "cut at the length limit and masked",
    Reason.EMPTY_MASK: "no token has a loss",
    Reason.ALL_SOLVED: "zero-variance group: all solved",
    Reason.ALL_FAILED: "zero-variance group: all failed",
    Reason.CONSTANT: "zero-variance group: same reward in between",
    Reason.CONTEXT: "attention did not see its context",
    Reason.TOKENS: "trained on other tokens than were sampled",
    Reason.MASK: "the loss covers the wrong roles",
    Reason.POLICY: "sampled from other weights than it should",
    Reason.GAP: "trainer and sampler disagree on its tokens",
    Reason.COUNTED_ERROR: "an error was counted as its reward",
    Reason.ADVANTAGE: "its advantage is not that of its group",
    Reason.DISAGREEMENT: "scored anew, it gets another reward",
    Reason.NO_EVIDENCE: "what was trained of it was not recorded",
    Reason.REACHED: "reached the gradient sound",
}

_LOST = tuple(Reason)[: tuple(Reason).index(Reason.CONTEXT)]
_CORRUPTED = tuple(Reason)[len(_LOST) : tuple(Reason).index(Reason.NO_EVIDENCE)]
_FATES: Mapping[Reason, Fate] = {
    **dict.fromkeys(_LOST, Fate.LOST),
    **dict.fromkeys(_CORRUPTED, Fate.CORRUPTED),
    Reason.NO_EVIDENCE: Fate.UNVERIFIED,
    Reason.REACHED: Fate.SOUND,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the ledger.

    `rollouts` stand on this line. `concerned` counts every rollout of the same kind (that gave no
    gradient, or that gave one) for which the reason holds, also those on a line above.
    """

    reason: Reason
    rollouts: int
    concerned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Every training rollout, once. `lines` has the reasons that hold for some, in their order.

    `superseded` rollouts were trained by an attempt that a restart undid; `not_recorded` are known
    to be missing from the record. Neither is among `total`.
    """

    total: int
    lines: tuple[Line, ...]
    superseded: int = 0
    not_recorded: int = 0

    def count(self, fate: Fate) -> int:
        """Rollouts of that fate."""
        return sum(line.rollouts for line in self.lines if line.reason.fate is fate)

    def line(self, reason: Reason) -> Line:
        """The line of that reason, of zeros where it holds for none."""
        empty = Line(reason=reason, rollouts=0, concerned=0)
        return next((line for line in self.lines if line.reason is reason), empty)


@dataclass(frozen=True, kw_only=True)
class Within:
    """The signal of all rollouts, of which a filter took some: `rows` are their places in it."""

    signal: "Signal"
    rows: Ints


@dataclass(frozen=True, kw_only=True)
class Signal:
    """For every training rollout, which reasons hold and which one decides.

    `max_lag` is how many updates the sampling weights may lie behind (0 when each batch is sampled
    from the newest ones), None if not known. `scale_rewards` says whether advantages are divided
    by their group's standard deviation, None if not known; `weights` has the components' weights.
    `disagreeing` marks rollouts that another scoring gave another reward. `named_outcome` is the
    component that the run itself calls its outcome, None where it names none. `within` is there
    where a filter took these rollouts out of others: each is judged in its whole group then.
    """

    rollouts: Rollouts
    named_outcome: str | None = None
    max_lag: int | None = None
    scale_rewards: bool | None = None
    group_size: int | None = None
    weights: Mapping[str, float]
    disagreeing: Mask
    within: Within | None = None

    @cached_property
    def gives_gradient(self) -> Mask:
        """Rollouts with a loss on some token and with an advantage that could differ from 0."""
        held = np.zeros(len(self.rollouts), np.bool_)
        for reason in (Reason.DROPPED, Reason.EMPTY_MASK):
            held |= self.holds[reason]
        return ~(held | self._flat)

    @cached_property
    def holds(self) -> Mapping[Reason, Mask]:
        """Where each reason holds, whatever else does. Shape (rollouts,) each."""
        if self.within is not None:
            every, rows = self.within.signal.holds, self.within.rows
            return {reason: mask[rows] for reason, mask in every.items()}
        rollouts = self.rollouts
        failed = rollouts.equals("stop_reason", "error")
        unscored = rollouts.numbers("derived_num_scorer_failures") > 0
        empty = rollouts.numbers("trained_tokens") == 0
        solved, failed_all = self._solved, self._failed
        return {
            Reason.ROLLOUT_ERROR: failed,
            Reason.SCORER_ERROR: unscored,
            Reason.DROPPED: self._dropped,
            Reason.TRUNCATED: empty & rollouts.is_true("truncated"),
            Reason.EMPTY_MASK: empty,
            Reason.ALL_SOLVED: self._flat & solved,
            Reason.ALL_FAILED: self._flat & failed_all & ~solved,
            Reason.CONSTANT: self._flat & ~solved & ~failed_all,
            # TRL hides what it masks as truncated from attention too, and learns nothing of it.
            Reason.CONTEXT: (rollouts.numbers("attended_share") < 1.0) & ~empty,
            Reason.TOKENS: rollouts.numbers("ids_match") == 0.0,
            Reason.MASK: (rollouts.numbers("trained_unsampled_tokens") > 0) | rollouts.left_out,
            Reason.POLICY: self._wrong_version,
            Reason.GAP: self.gaps.over,
            Reason.COUNTED_ERROR: failed | unscored,
            Reason.ADVANTAGE: self.advantages.wrong,
            Reason.DISAGREEMENT: self.disagreeing,
            Reason.NO_EVIDENCE: ~self.has_token_evidence,
            Reason.REACHED: np.ones(len(rollouts), np.bool_),
        }

    def concerned(self, reason: Reason) -> Mask:
        """Rollouts of the reason's kind for which it holds. Shape (rollouts,)."""
        gives = self.gives_gradient
        return self.holds[reason] & (~gives if reason.fate is Fate.LOST else gives)

    @cached_property
    def has_token_evidence(self) -> Mask:
        """Where attention, ids, loss mask and advantage were all recorded. Shape (rollouts,)."""
        wanted = ("attended_share", "ids_match", "trained_tokens", "advantage")
        known = [self.rollouts.known(column) for column in wanted]
        return np.asarray(np.logical_and.reduce(known))

    @cached_property
    def deciding(self) -> Ints:
        """The place in `Reason` of the one that decides. Shape (rollouts,)."""
        places = np.full(len(self.rollouts), -1, dtype=np.int64)
        for place, reason in enumerate(Reason):
            places[(places < 0) & self.concerned(reason)] = place
        return places

    def ledger(self, *, superseded: int = 0, not_recorded: int = 0) -> Ledger:
        """The lines, which add up to all rollouts."""
        counts = np.bincount(self.deciding, minlength=len(Reason))
        lines = []
        for place, reason in enumerate(Reason):
            concerned = int(self.concerned(reason).sum())
            if counts[place] or (concerned and reason is not Reason.REACHED):
                lines.append(Line(reason=reason, rollouts=int(counts[place]), concerned=concerned))
        return Ledger(
            total=len(self.rollouts),
            lines=tuple(lines),
            superseded=superseded,
            not_recorded=not_recorded,
        )

    @cached_property
    def outcome(self) -> str | None:
        """The component that says whether a rollout is right: the one that the run names, else
        that of the largest weight, the first of equal ones; None without weighted components."""
        known = set(self.rollouts.component_names)
        if self.named_outcome in known:
            return self.named_outcome
        weighted = {name: w for name, w in self.weights.items() if name in known and w > 0}
        return max(weighted, key=lambda name: weighted[name], default=None)

    @cached_property
    def advantages(self) -> AdvantageCheck:
        """Which advantages are not those of their groups."""
        return check_advantages(
            self.rollouts, scale_rewards=self.scale_rewards, group_size=self.group_size
        )

    @cached_property
    def gaps(self) -> Gaps:
        """How far trainer and sampler disagree."""
        return Gaps(rollouts=self.rollouts)

    @cached_property
    def _dropped(self) -> Mask:
        """Without an advantage, in a run that records them: its batch never reached the trainer."""
        known = self.rollouts.known("advantage")
        return ~known & known.any()

    @cached_property
    def _flat(self) -> Mask:
        """In a group without spread, and not trained with another advantage than 0."""
        if self.within is not None:
            return self.within.signal._flat[self.within.rows]
        groups = self.rollouts.groups
        if not len(groups):
            return np.zeros(0, np.bool_)
        alone = (groups.size == 1) & (self.group_size == 1) & np.isfinite(groups.spread)
        moved = ~(np.abs(self.rollouts.numbers("advantage")) <= FLAT_ADVANTAGE)
        trained = self.rollouts.known("advantage") & moved  # NaN moves every weight
        return np.asarray((groups.flat | alone)[self.rollouts.group] & ~trained)

    @cached_property
    def _solved(self) -> Mask:
        """Where the outcome is full: 1, or the highest value seen where that is above 1."""
        values, _, high = self._outcome_values()
        return np.asarray(values >= _FULL * max(high, 1.0))

    @cached_property
    def _failed(self) -> Mask:
        """Where the outcome is empty: 0, or the lowest value seen where that is below 0."""
        values, low, _ = self._outcome_values()
        return np.asarray(values <= min(low, 0.0) + FLAT_SPREAD)

    def _outcome_values(self) -> tuple[Floats, float, float]:
        """The outcome of each rollout, or its reward in a run without one; lowest and highest."""
        rollouts = self.rollouts
        values = rollouts.component(self.outcome) if self.outcome else rollouts.numbers("reward")
        finite = values[np.isfinite(values)]
        if not finite.size:
            return np.full(len(rollouts), np.nan), 0.0, 0.0
        return values, float(finite.min()), float(finite.max())

    @cached_property
    def _wrong_version(self) -> Mask:
        """Sampled from weights that are newer than the step, or older than the run allows."""
        version, step = self.rollouts.numbers("derived_policy_version"), self.rollouts.step
        wrong = version > step
        if self.max_lag is not None:
            wrong |= version < step - self.max_lag
        return np.asarray(wrong)
