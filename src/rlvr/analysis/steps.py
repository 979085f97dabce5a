"""What happened at each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

STEP_COLUMNS = (
    "mode",
    "step",
    "group_id",
    "reward",
    "rewards",
    "sampled_tokens",
    "generation_s",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_num_tool_errors",
    "derived_think_valid",
    "derived_cite_valid",
    "derived_answer_valid",
)
_MEANS = {
    "turns": "derived_num_turns",
    "tool_calls": "derived_num_tool_calls",
    "tool_errors": "derived_num_tool_errors",
    "sampled_tokens": "sampled_tokens",
    "generation_s": "generation_s",
}
_TAGS = ("think", "cite", "answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step of one mode. Means are over the trajectories that recorded the number.

    `flat_groups` counts groups of two or more whose rewards are all equal: they have no gradient.
    `components` maps each component to its mean value, None where no scorer gave one;
    `unscored` to the trajectories for which it gave none. `tags` maps "think", "cite" and "answer"
    to the share of the trajectories using the tag that use it well.
    """

    mode: str
    step: int
    trajectories: int
    groups: int
    flat_groups: int
    reward_mean: float | None
    reward_min: float | None
    reward_max: float | None
    components: Mapping[str, float | None]
    unscored: Mapping[str, int]
    tags: Mapping[str, float | None]
    turns: float | None
    tool_calls: float | None
    tool_errors: float | None
    sampled_tokens: float | None
    generation_s: float | None


def by_step(table: pa.Table) -> tuple[StepRow, ...]:
    """One row for each mode and step of a table with STEP_COLUMNS, training first, in order."""
    rows = _grouped(table)
    groups = _groups(table)
    components = _components(table)
    found = [_step_row(row, groups, components) for row in rows]
    return tuple(sorted(found, key=lambda row: (row.mode != "train", row.mode, row.step)))


def reward_series(rows: Sequence[StepRow], mode: str = "train") -> list[tuple[int, float]]:
    """(step, mean reward) of one mode, for a curve; steps without a recorded reward left out."""
    return [
        (row.step, row.reward_mean)
        for row in rows
        if row.mode == mode and row.reward_mean is not None
    ]


def mean_rewards(table: pa.Table) -> list[tuple[int, float | None]]:
    """(step, mean reward) of training, else of evaluation; needs mode, step and reward only."""
    grouped = table.group_by(["mode", "step"]).aggregate([("reward", "mean")]).to_pylist()
    modes = {row["mode"] for row in grouped}
    mode = "train" if "train" in modes else min(modes, default="")
    return sorted((int(row["step"]), row["reward_mean"]) for row in grouped if row["mode"] == mode)


def _grouped(table: pa.Table) -> list[dict[str, Any]]:
    columns: dict[str, Any] = {
        name: table[name] for name in ("mode", "step", "reward", *_MEANS.values())
    }
    for tag in _TAGS:
        columns[tag] = table[f"derived_{tag}_valid"].cast(pa.float64())
    wanted: Any = [("reward", "mean"), ("reward", "min"), ("reward", "max"), ("step", "count")]
    wanted += [(name, "mean") for name in (*_MEANS.values(), *_TAGS)]
    rows: list[dict[str, Any]] = (
        pa.table(columns).group_by(["mode", "step"]).aggregate(wanted).to_pylist()
    )
    return rows


def _groups(table: pa.Table) -> dict[tuple[str, int], tuple[int, int]]:
    """Groups, and groups without spread, by mode and step."""
    grouped = table.group_by(["mode", "step", "group_id"]).aggregate(
        [("reward", "min"), ("reward", "max"), ("reward", "count")]
    )
    counts: dict[tuple[str, int], tuple[int, int]] = {}
    for row in grouped.to_pylist():
        key = (row["mode"], row["step"])
        groups, flat = counts.get(key, (0, 0))
        same = row["reward_count"] > 1 and row["reward_min"] == row["reward_max"]
        counts[key] = (groups + 1, flat + same)
    return counts


def _components(table: pa.Table) -> dict[tuple[str, int], dict[str, tuple[float | None, int]]]:
    """Mean value and number of absent values of each component, by mode and step."""
    rewards: Any = table["rewards"].combine_chunks()
    if not len(rewards):
        return {}
    offsets = rewards.offsets.to_numpy()
    parents: Any = pa.array(np.repeat(np.arange(len(rewards)), np.diff(offsets)))
    inside = slice(int(offsets[0]), int(offsets[-1]))
    columns: dict[str, Any] = {
        "mode": table["mode"].take(parents),
        "step": table["step"].take(parents),
        "name": rewards.keys[inside],
        "value": rewards.items[inside],
    }
    grouped = (
        pa.table(columns)
        .group_by(["mode", "step", "name"])
        .aggregate([("value", "mean"), ("value", "count"), ("name", "count")])
    )
    found: dict[tuple[str, int], dict[str, tuple[float | None, int]]] = {}
    for row in grouped.to_pylist():
        absent = row["name_count"] - row["value_count"]
        found.setdefault((row["mode"], row["step"]), {})[row["name"]] = (row["value_mean"], absent)
    return found


def _step_row(
    row: dict[str, Any],
    groups: dict[tuple[str, int], tuple[int, int]],
    components: dict[tuple[str, int], dict[str, tuple[float | None, int]]],
) -> StepRow:
    key = (row["mode"], row["step"])
    scored = components.get(key, {})
    return StepRow(
        mode=row["mode"],
        step=row["step"],
        trajectories=row["step_count"],
        groups=groups[key][0],
        flat_groups=groups[key][1],
        reward_mean=row["reward_mean"],
        reward_min=row["reward_min"],
        reward_max=row["reward_max"],
        components={name: mean for name, (mean, _) in scored.items()},
        unscored={name: absent for name, (_, absent) in scored.items() if absent},
        tags={tag: row[f"{tag}_mean"] for tag in _TAGS},
        **{field: row[f"{column}_mean"] for field, column in _MEANS.items()},
    )
