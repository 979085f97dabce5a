"""The columns of a run's training rollouts as arrays, and what is asked of them again and again."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.analysis.columns import Columns, Floats, Ints, Mask
from rlvr.analysis.within import FLAT_SPREAD, step_means
from rlvr.diagnosis.thresholds import EARLY_SHARE, RECENT_SHARE, RECENT_STEPS

ROLLOUT_COLUMNS = (
    "id",
    "step",
    "batch",
    "attempt",
    "rank",
    "group_id",
    "example_id",
    "stop_reason",
    "rewards",
    "reward",
    "advantage",
    "served_prompt_tokens",
    "trained_prompt_tokens",
    "sampled_tokens",
    "trained_tokens",
    "sampled_untrained_tokens",
    "trained_unsampled_tokens",
    "sequence_tokens",
    "attended_share",
    "unattended_prompt_tokens",
    "unattended_environment_tokens",
    "unattended_sampled_tokens",
    "sequences",
    "ids_match",
    "mismatch_sequence",
    "mismatch_turn",
    "mismatch_token",
    "truncated",
    "gap_mean",
    "gap_p99",
    "gap_beyond_1nat",
    "gap_mean_by_turn",
    "gap_tokens_by_turn",
    "entropy_mean",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_num_tool_responses",
    "derived_num_tool_errors",
    "derived_num_malformed_calls",
    "derived_num_scorer_failures",
    "derived_num_cut_turns",
    "derived_policy_version",
    "derived_reference_in_answer",
    "derived_unparsed_call",
    "derived_prompt_hash",
    "derived_text_hash",
)
"""The columns that a diagnosis reads, one row a rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The rollouts of one prompt in one batch, one entry a group, in order of the first rollout.

    `spread` is the highest minus the lowest reward, NaN where one is missing or not finite;
    `first` the row of the group's first rollout.
    """

    size: Ints
    step: Ints
    first: Ints
    mean: Floats
    spread: Floats

    def __len__(self) -> int:
        return len(self.size)

    @property
    def flat(self) -> Mask:
        """Groups of two or more whose rewards are all equal: their advantages are 0."""
        scale = np.maximum(1.0, np.abs(self.mean))  # rewards are compared in float32
        return np.asarray((self.size > 1) & (self.spread <= FLAT_SPREAD * scale))


@dataclass(frozen=True, kw_only=True)
class Rollouts(Columns):
    """A table with ROLLOUT_COLUMNS, one row a training rollout, in the order of training."""

    @cached_property
    def step(self) -> Ints:
        """The step of each rollout."""
        return self.numbers("step").astype(np.int64)

    @cached_property
    def steps(self) -> Ints:
        """The steps that have rollouts, in order."""
        return np.unique(self.step)

    @cached_property
    def group(self) -> Ints:
        """The group of each rollout, as a place in `groups`."""
        return self.codes("group_id")

    @cached_property
    def groups(self) -> Groups:
        """The groups."""
        count = int(self.group.max()) + 1 if len(self) else 0
        reward = self.numbers("reward")
        finite = np.isfinite(reward)
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, self.group[finite], reward[finite])
        np.maximum.at(high, self.group[finite], reward[finite])
        broken = np.bincount(self.group[~finite], minlength=count) > 0
        low[broken] = high[broken] = np.nan
        sound = np.where(finite, reward, np.nan)
        with np.errstate(over="ignore"):  # rewards may be huge
            spread = high - low
        size = np.bincount(self.group, minlength=count)
        first = np.full(count, len(self), dtype=np.int64)
        np.minimum.at(first, self.group, np.arange(len(self)))
        total = np.bincount(self.group, weights=sound, minlength=count)
        return Groups(
            size=size.astype(np.int64),
            step=self.step[first] if count else np.empty(0, np.int64),
            first=first,
            mean=total / np.maximum(size, 1),
            spread=spread,
        )

    @cached_property
    def recent(self) -> Mask:
        """Rollouts of the last third of the steps, or of the last ten where these are more."""
        if not len(self):
            return np.zeros(0, np.bool_)
        count = max(RECENT_STEPS, round(len(self.steps) * RECENT_SHARE))
        return np.asarray(self.step >= self.steps[max(0, len(self.steps) - count)])

    @cached_property
    def left_out(self) -> Mask:
        """Rollouts with sampled tokens outside of the loss. Shape (rollouts,).

        Without those that were cut and have several sequences: one of them may be masked whole, as
        a sequence that was cut is.
        """
        cut_in_part = self.is_true("truncated") & (self.numbers("sequences") > 1)
        return np.asarray((self.numbers("sampled_untrained_tokens") > 0) & ~cut_in_part)

    @cached_property
    def early(self) -> Mask:
        """Rollouts of the first third of the steps that are not recent; none in a short run."""
        if not len(self):
            return np.zeros(0, np.bool_)
        end = self.steps[min(len(self.steps) - 1, round(len(self.steps) * EARLY_SHARE))]
        return np.asarray(~self.recent & (self.step < end))

    def by_step(
        self, values: npt.NDArray[Any], where: Mask | None = None
    ) -> list[tuple[int, float]]:
        """(step, mean of the values that are not NaN) for each step that has one."""
        return step_means(self.step, values, where)

    def among(self, ids: Collection[str]) -> Mask:
        """Which rollouts have one of these record ids. Shape (rollouts,)."""
        wanted: Any = pa.array(list(ids), type=pa.string())
        found: Any = pc.is_in(self.table["id"], value_set=wanted)
        return np.asarray(found.to_numpy(), dtype=np.bool_)

    def clusters(self, where: Mask | None = None) -> int:
        """How many groups the rollouts belong to."""
        return len(np.unique(self.group if where is None else self.group[where]))
