"""Which groups hold successes and failures of one prompt, and some of them spread over a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from rlvr.analysis.columns import Columns, Floats, Ints, Mask
from rlvr.analysis.outcome import Measure

GROUP_COLUMNS = (
    "id",
    "step",
    "batch",
    "attempt",
    "group_id",
    "example_id",
    "derived_prompt_hash",
    "reward",
    "rewards",
)
"""The columns that a split asks for, one row a rollout."""

_EQUAL = 1e-6
"""Values that differ by less, relative to the larger of them and 1, are equal: trainers compute in
float32."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Rollouts(Columns):
    """A table with GROUP_COLUMNS."""

    @cached_property
    def group(self) -> Ints:
        """The group of each rollout, numbered from 0: a group id in one batch of one attempt."""
        columns = [self.codes("group_id"), self.numbers("batch"), self.numbers("attempt")]
        return _numbered(np.stack([column.astype(np.int64) for column in columns], axis=1))

    @cached_property
    def prompt(self) -> Ints:
        """The prompt of each rollout, numbered from 0: its example, else the text of its prompt,
        else its group."""
        example, text = self.codes("example_id"), self.codes("derived_prompt_hash")
        kind = np.where(example >= 0, 0, np.where(text >= 0, 1, 2))
        code = np.where(example >= 0, example, np.where(text >= 0, text, self.group))
        return _numbered(np.stack([kind, code], axis=1))


def _numbered(keys: Ints) -> Ints:
    """Equal rows get equal numbers from 0."""
    if not len(keys):
        return np.zeros(0, np.int64)
    return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1], np.int64).reshape(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Success and failure by group.

    `success` is False also where `scored` is; `informative` marks the rollouts that have a score,
    in groups with successes and failures. `groups` counts all groups; `alone` those with a single
    scored rollout or none, `equal` those whose rollouts all got the same, `one_sided` those on one
    side of a threshold.
    """

    success: Mask
    scored: Mask
    informative: Mask
    groups: int
    alone: int
    equal: int
    one_sided: int

    @property
    def informative_groups(self) -> int:
        """Groups with successes and failures."""
        return self.groups - self.alone - self.equal - self.one_sided


def split_groups(rollouts: Rollouts, measure: Measure) -> Split:
    """Which rollouts succeeded: from the threshold on, else above the mean of their group."""
    values, group = measure.values(rollouts), rollouts.group
    count = int(group.max(initial=-1)) + 1
    scored = np.isfinite(values)
    size = np.bincount(group[scored], minlength=count)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, group[scored], values[scored])
    np.maximum.at(high, group[scored], values[scored])
    room = _EQUAL * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
    with np.errstate(over="ignore", invalid="ignore"):
        flat = ~(high - low > room)
    if measure.threshold is None:
        success = scored & _above_mean(np.where(scored, values, 0.0), scored, group, size, room)
    else:
        success = scored & (values >= measure.threshold)
    hits = np.bincount(group[success], minlength=count)
    both = (size > 1) & (hits > 0) & (hits < size)
    equal = (size > 1) & flat & ~both
    return Split(
        success=success,
        scored=scored,
        informative=scored & both[group] if count else scored,
        groups=count,
        alone=int((size < 2).sum()),
        equal=int(equal.sum()),
        one_sided=int(((size > 1) & ~both & ~equal).sum()),
    )


def _above_mean(values: Floats, scored: Mask, group: Ints, size: Ints, room: Floats) -> Mask:
    sums = np.bincount(group[scored], weights=values[scored], minlength=len(size))
    mean = sums / np.maximum(size, 1)
    return np.asarray(values > (mean + room)[group])


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Whose messages are read: the ids by step, of so many groups."""

    ids: dict[int, list[str]]
    groups: int


def portion(rollouts: Rollouts, split: Split, steps: Sequence[int], *, most: int) -> Portion:
    """At most `most` informative groups of these steps, spread evenly over them."""
    rows = np.flatnonzero(split.informative & np.isin(rollouts.numbers("step"), list(steps)))
    groups = list(dict.fromkeys(rollouts.group[rows].tolist()))
    chosen = set(evenly_spread(groups, most))
    ids: dict[int, list[str]] = {}
    for row in rows.tolist():
        if int(rollouts.group[row]) in chosen:
            ids.setdefault(int(rollouts.numbers("step")[row]), []).append(rollouts.ids[row])
    return Portion(ids=ids, groups=len(chosen))


def evenly_spread(entries: Sequence[_T], most: int) -> list[_T]:
    """At most so many of the entries, evenly spread, the last among them."""
    if len(entries) <= most:
        return list(entries)
    if most == 1:
        return [entries[-1]]
    return [entries[round(at * (len(entries) - 1) / (most - 1))] for at in range(most)]
