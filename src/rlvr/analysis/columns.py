"""Columns of rollouts as arrays, one entry a rollout."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A table of trajectories, as `Run.to_arrow` gives it, one row a rollout."""

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
    def component_names(self) -> tuple[str, ...]:
        """Every reward component, in order of the first appearance."""
        return tuple(self._components)

    def component(self, name: str) -> Floats:
        """The values of a component, NaN where its scorer gave none. Shape (rollouts,)."""
        return self._components[name]

    def named(self, component: str) -> Mask:
        """Where the component was to be scored, whether it got a value or not."""
        found = np.zeros(len(self), np.bool_)
        found[self._scores[component][0]] = True
        return found

    def unscored(self, component: str) -> Mask:
        """Where its scorer gave no value at all; NaN is one. Shape (rollouts,)."""
        rows, _, valued = self._scores[component]
        found = np.zeros(len(self), np.bool_)
        found[rows[~valued]] = True
        return found

    @cached_property
    def _components(self) -> dict[str, Floats]:
        found = {}
        for name, (rows, values, _) in self._scores.items():
            found[name] = np.full(len(self), np.nan)
            found[name][rows] = values
        return found

    @cached_property
    def _scores(self) -> dict[str, tuple[Ints, Floats, Mask]]:
        """By component the rows that name it, its values there, and where there is one."""
        rewards: Any = self.table["rewards"].combine_chunks()
        if not len(self):
            return {}
        lengths = np.diff(rewards.offsets.to_numpy())
        rows = np.repeat(np.arange(len(self)), lengths)
        inside = slice(int(rewards.offsets[0].as_py()), int(rewards.offsets[-1].as_py()))
        keys = rewards.keys[inside].dictionary_encode()
        places = np.asarray(keys.indices.to_numpy(zero_copy_only=False))
        values = rewards.items[inside].to_numpy(zero_copy_only=False)
        valued = np.asarray(rewards.items[inside].is_valid())
        return {
            str(name): (rows[places == at], values[places == at], valued[places == at])
            for at, name in enumerate(keys.dictionary.to_pylist())
        }
