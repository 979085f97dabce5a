"""The columns of a run's training rollouts as arrays, and what is asked of them again and again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.diagnosis.thresholds import FLAT_SPREAD, RECENT_SHARE, RECENT_STEPS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

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
class Rollouts:
    """A table with ROLLOUT_COLUMNS, one row a training rollout, in the order of training."""

    table: pa.Table
    _numbers: dict[str, Floats] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def numbers(self, column: str) -> Floats:
        """A column of numbers or flags; NaN where there is none. Shape (rollouts,)."""
        if column not in self._numbers:
            values: Any = self.table[column].cast(pa.float64()).to_numpy()
            self._numbers[column] = np.asarray(values, dtype=np.float64)
        return self._numbers[column]

    def known(self, column: str) -> Mask:
        """Where a column has a value; NaN is one. Shape (rollouts,)."""
        return np.asarray(self.table[column].is_valid().to_numpy(), dtype=np.bool_)

    def is_true(self, column: str) -> Mask:
        """Where a flag is known and set. Shape (rollouts,)."""
        return np.asarray(self.numbers(column) == 1.0)

    def texts(self, column: str) -> Sequence[str | None]:
        """A column of texts."""
        values: list[str | None] = self.table[column].to_pylist()
        return values

    def equals(self, column: str, value: str) -> Mask:
        """Where a text is this one. Shape (rollouts,)."""
        literal: Any = value
        equal: Any = pc.equal(self.table[column], literal)
        equal = equal.fill_null(False)
        return np.asarray(equal.to_numpy(), dtype=np.bool_)

    def codes(self, column: str) -> Ints:
        """Equal whole numbers for equal texts, -1 where there is none. Shape (rollouts,)."""
        encoded: Any = self.table[column].combine_chunks().dictionary_encode()
        indices: Any = encoded.indices.fill_null(-1)
        return np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.int64)

    def lists(self, column: str) -> list[list[Any] | None]:
        """A column of lists."""
        values: list[list[Any] | None] = self.table[column].to_pylist()
        return values

    def entries(self, column: str) -> tuple[Ints, Ints, Floats]:
        """A column of lists of numbers, flat: the row of each entry, its place in the list, its
        value (NaN where there is none)."""
        lists: Any = self.table[column].combine_chunks()
        if not len(self):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        lengths = np.asarray(pc.list_value_length(lists).fill_null(0), dtype=np.int64)
        values = np.asarray(
            lists.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64
        )
        rows = np.repeat(np.arange(len(self)), lengths)
        first = np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows, np.arange(len(rows)) - first, values

    @cached_property
    def ids(self) -> Sequence[str]:
        """The record ids."""
        values: list[Any] = self.table["id"].to_pylist()
        return values

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
    def component_names(self) -> tuple[str, ...]:
        """Every reward component, in order of the first appearance."""
        return tuple(self._components)

    def component(self, name: str) -> Floats:
        """The values of a component, NaN where its scorer gave none. Shape (rollouts,)."""
        return self._components[name]

    @cached_property
    def _components(self) -> dict[str, Floats]:
        rewards: Any = self.table["rewards"].combine_chunks()
        if not len(self):
            return {}
        lengths = np.diff(rewards.offsets.to_numpy())
        rows = np.repeat(np.arange(len(self)), lengths)
        inside = slice(int(rewards.offsets[0].as_py()), int(rewards.offsets[-1].as_py()))
        keys = rewards.keys[inside].dictionary_encode()
        places = np.asarray(keys.indices.to_numpy(zero_copy_only=False))
        values = rewards.items[inside].to_numpy(zero_copy_only=False)
        found = {}
        for place, name in enumerate(keys.dictionary.to_pylist()):
            column = np.full(len(self), np.nan)
            column[rows[places == place]] = values[places == place]
            found[str(name)] = column
        return found

    @cached_property
    def recent(self) -> Mask:
        """Rollouts of the last third of the steps, or of the last ten where these are more."""
        if not len(self):
            return np.zeros(0, np.bool_)
        count = max(RECENT_STEPS, round(len(self.steps) * RECENT_SHARE))
        return np.asarray(self.step >= self.steps[max(0, len(self.steps) - count)])

    def by_step(
        self, values: npt.NDArray[Any], where: Mask | None = None
    ) -> list[tuple[int, float]]:
        """(step, mean of the values that are not NaN) for each step that has one."""
        numbers = np.asarray(values, dtype=np.float64)
        chosen = ~np.isnan(numbers) if where is None else where & ~np.isnan(numbers)
        places = np.searchsorted(self.steps, self.step[chosen])
        totals = np.bincount(places, weights=numbers[chosen], minlength=len(self.steps))
        counts = np.bincount(places, minlength=len(self.steps))
        return [
            (int(step), float(total / count))
            for step, total, count in zip(self.steps, totals, counts, strict=True)
            if count
        ]

    def clusters(self, where: Mask | None = None) -> int:
        """How many groups the rollouts belong to."""
        return len(np.unique(self.group if where is None else self.group[where]))
