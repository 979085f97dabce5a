"""The groups of one step."""

import math
from dataclasses import dataclass

import pyarrow as pa

from rlvr.analysis.columns import Columns
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.codec import unpack

GROUP_ROW_COLUMNS = ("id", "attempt", "batch", "group_id", "example_id", "reward", "advantage")
"""The columns that `group_rows` asks for, one row a rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOfStep:
    """One group. `size` rollouts are recorded, `scored` of them with a finite reward, from which
    mean, low and high are (None without one). `flat`: all have one reward, so that the advantages
    are 0 and none moves the policy. `strongest` is the largest |advantage|, None if not recorded.
    """

    group_id: str
    attempt: int
    example: str | None
    size: int
    scored: int
    mean: float | None
    low: float | None
    high: float | None
    flat: bool
    strongest: float | None

    @property
    def spread(self) -> float | None:
        """The highest minus the lowest reward."""
        return None if self.high is None or self.low is None else self.high - self.low


def group_rows(table: pa.Table) -> tuple[GroupOfStep, ...]:
    """The groups of a table with GROUP_ROW_COLUMNS of one step and mode, as they first appear."""
    columns = Columns(table=table)
    rows: dict[tuple[int, int, str], list[int]] = {}
    keys = zip(
        columns.numbers("attempt").astype(int).tolist(),
        columns.numbers("batch").astype(int).tolist(),
        map(unpack, map(str, table["group_id"].to_pylist())),
        strict=True,
    )
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    rewards, advantages = table["reward"].to_pylist(), table["advantage"].to_pylist()
    examples = [None if one is None else unpack(one) for one in columns.texts("example_id")]
    return tuple(
        _group(
            key[2],
            key[0],
            examples[own[0]],
            [rewards[row] for row in own],
            [advantages[row] for row in own],
        )
        for key, own in rows.items()
    )


def _group(
    group_id: str,
    attempt: int,
    example: str | None,
    rewards: list[float | None],
    advantages: list[float | None],
) -> GroupOfStep:
    finite = [value for value in rewards if value is not None and math.isfinite(value)]
    known = [abs(value) for value in advantages if value is not None]
    mean = math.fsum(finite) / len(finite) if finite else None
    all_scored = len(rewards) > 1 and len(finite) == len(rewards)
    scale = max(1.0, abs(mean)) if mean is not None else 1.0
    return GroupOfStep(
        group_id=group_id,
        attempt=attempt,
        example=example,
        size=len(rewards),
        scored=len(finite),
        mean=mean,
        low=min(finite, default=None),
        high=max(finite, default=None),
        flat=all_scored and max(finite) - min(finite) <= FLAT_SPREAD * scale,
        strongest=max(known, default=None),
    )
