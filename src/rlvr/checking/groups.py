"""Checks of groups: whether they are whole, and whether advantages follow from their rewards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rlvr.analysis.advantage import EPSILON
from rlvr.analysis.columns import Columns
from rlvr.checking.answers import Answers

GROUP_COLUMNS = ("id", "group_id", "sample", "reward", "advantage")
_TOLERANCE = 1e-3
"""Trainers compute in float32; see `rlvr.analysis.advantage`."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What is known of a generation batch beside its rows.

    size: rollouts of a group, None if not known. excused: why a group may lack rows, None where
    none may. scaled: whether advantages are divided by the deviation, None if not known.
    """

    size: int | None
    excused: str | None
    scaled: bool | None
    trained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """The group of each row, its sample and reward, and size and name of each group."""

    of_row: _Ints
    samples: _Floats
    rewards: _Floats
    sizes: _Ints
    names: dict[int, str]

    @classmethod
    def of(cls, columns: Columns) -> "_Groups":
        """Those of a table that has rows."""
        of_row = columns.codes("group_id")
        named = zip(of_row.tolist(), columns.texts("group_id"), strict=True)
        return cls(
            of_row=of_row,
            samples=columns.numbers("sample"),
            rewards=columns.numbers("reward"),
            sizes=np.bincount(of_row),
            names={number: str(name) for number, name in named},
        )


def check_groups(table: pa.Table, generation: Generation, answers: Answers) -> None:
    """The groups of one generation batch, from all its processes, with GROUP_COLUMNS."""
    table = table.filter(table["group_id"].is_valid())
    columns = Columns(table=table)
    if not len(columns):
        return
    groups = _Groups.of(columns)
    answers.seen("groups", len(groups.sizes))
    pairs = np.unique(np.stack([groups.of_row, groups.samples.astype(np.int64)]), axis=1)
    for group in np.flatnonzero(np.bincount(pairs[0]) < groups.sizes):
        answers.wrong("groups", groups.names[int(group)], "has a sample twice", is_id=True)
    if generation.size is not None:
        _complete(groups, generation.size, generation.excused, answers)
    if generation.trained:
        _advantages(columns, groups, generation, answers)


def _complete(groups: _Groups, size: int, excused: str | None, answers: Answers) -> None:
    beyond = (groups.samples < 0) | (groups.samples >= size)
    for group in np.unique(groups.of_row[beyond]):
        why = f"numbers a sample beyond {size - 1}"
        answers.wrong("groups", groups.names[int(group)], why, is_id=True)
    for group in np.flatnonzero(groups.sizes < size):
        if excused is not None:
            answers.note("groups", f"a group lacks rollouts: {excused}")
        else:
            why = f"has {int(groups.sizes[group])} of {size} rollouts"
            answers.wrong("groups", groups.names[int(group)], why, is_id=True)


def _advantages(
    columns: Columns, groups: _Groups, generation: Generation, answers: Answers
) -> None:
    recorded = columns.numbers("advantage")
    finite = np.isfinite(groups.rewards)
    known = np.bincount(groups.of_row, weights=finite) == groups.sizes
    whole = groups.sizes >= max(generation.size or 2, 2)
    judged = (whole & known)[groups.of_row] & np.isfinite(recorded)
    if not judged.any():
        answers.unknown("advantages", "no whole group has finite rewards and advantages")
        return
    answers.seen("advantages", int(judged.sum()))
    rewards = np.where(finite, groups.rewards, 0.0)
    variants = _variants(rewards, groups.of_row, groups.sizes, generation.scaled)
    misses = [judged & ~np.isclose(one, recorded, _TOLERANCE, _TOLERANCE) for one in variants]
    best = min(range(len(misses)), key=lambda at: int(misses[at].sum()))
    for at in np.flatnonzero(misses[best]):
        why = f"is {recorded[at]:.6g}, its group gives {variants[best][at]:.6g}"
        answers.wrong("advantages", columns.ids[int(at)], why, is_id=True)


def _variants(
    rewards: _Floats, groups: _Ints, sizes: _Ints, scaled: bool | None
) -> Sequence[_Floats]:
    """The advantages by each normalisation that the run's settings allow."""
    means = np.bincount(groups, weights=rewards) / sizes
    centred = rewards - means[groups]
    squares = np.bincount(groups, weights=centred**2)
    deviations = np.sqrt(squares / np.maximum(sizes - 1, 1))
    by_group = centred / (deviations[groups] + EPSILON)
    if scaled is not None:
        return [by_group if scaled else centred]
    whole = float(np.std(rewards, ddof=1)) if len(rewards) > 1 else 0.0
    return [by_group, centred, centred / (whole + EPSILON)]
