"""How the rollouts of one example changed over the training."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.analysis.columns import Columns, Floats
from rlvr.analysis.outcome import Measure
from rlvr.analysis.statistics import Z_95, Mean, Share, mean_of, share
from rlvr.codec import unpack

HISTORY_COLUMNS = (
    "id",
    "mode",
    "step",
    "batch",
    "attempt",
    "group_id",
    "example_id",
    "sample",
    "stop_reason",
    "reward",
    "rewards",
    "sampled_tokens",
    "truncated",
    "derived_num_turns",
    "derived_num_tool_calls",
    "derived_num_tool_errors",
    "derived_policy_version",
    "derived_prompt_hash",
    "derived_text_hash",
)
"""The columns that a history asks for, one row a rollout."""


class Change(StrEnum):
    """What became of an example.

    ALWAYS: every scored rollout solved it; NEVER: none did. LEARNT, FORGOTTEN: the later half of
    the visits solved it more, or less often, with an interval of 95 % of the difference that
    excludes 0. STEADY: no such difference is proven. ONCE: a single visit, which some rollouts
    solved and some did not. UNSCORED: no rollout has a value.
    """

    LEARNT = "learnt"
    FORGOTTEN = "forgotten"
    STEADY = "steady"
    ONCE = "once"
    ALWAYS = "always"
    NEVER = "never"
    UNSCORED = "unscored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The rollouts of an example in one batch: a group.

    `scored` of the `rollouts` have a value of the measure, and `solved` of these solve the example.
    `reward` is the mean total, `components` the mean of each component; `turns`, `calls`,
    `tool_errors` and `tokens` are means, NaN where nothing was recorded. `stops` counts the stop
    reasons, `outputs` the different completions, None where it is not known.
    """

    step: int
    batch: int
    attempt: int
    group_id: str
    policy_version: int | None
    rollouts: int
    scored: int
    solved: int
    reward: Mean
    components: Mapping[str, float]
    turns: float
    calls: float
    tool_errors: float
    tokens: float
    truncated: int
    stops: Mapping[str, int]
    outputs: int | None
    ids: tuple[str, ...]

    @property
    def solved_share(self) -> Share:
        """The part of the scored rollouts that solves it, with Wilson's interval of 95 %."""
        return share(self.solved, self.scored, z=Z_95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Solved shares over the visits of one example in one mode, in order.

    `early` and `late` are over the first and the later half of the visits.
    """

    example: str
    steps: tuple[int, ...]
    shares: tuple[float, ...]
    rollouts: int
    early: Share
    late: Share
    change: Change

    @property
    def difference(self) -> float:
        """How much more often the later half solves it; NaN with one visit."""
        return self.late.value - self.early.value

    @property
    def first_solved(self) -> int | None:
        """The step of the first visit that solved it at all."""
        return next((s for s, v in zip(self.steps, self.shares, strict=True) if v > 0), None)

    @property
    def last_solved(self) -> int | None:
        """The step of the last visit that solved it at all."""
        solved = [s for s, v in zip(self.steps, self.shares, strict=True) if v > 0]
        return solved[-1] if solved else None

    @property
    def lost_at(self) -> tuple[int, ...]:
        """Steps of the visits that did not solve it at all, right after one that did."""
        known = [(s, v) for s, v in zip(self.steps, self.shares, strict=True) if v == v]  # noqa: PLR0124 - NaN
        return tuple(
            step for (_, before), (step, now) in pairwise(known) if before > 0 and now == 0
        )


def example_names(table: pa.Table) -> list[str]:
    """What names the example of each rollout: its id, else `prompt:` and a hash of the prompt's
    text, else `group:` and the group."""
    join: Any = pc.binary_join_element_wise
    hashed = join(pa.scalar("prompt:"), table["derived_prompt_hash"], pa.scalar(""))
    grouped = join(pa.scalar("group:"), table["group_id"], pa.scalar(""))
    stored: list[str] = pc.coalesce(table["example_id"], hashed, grouped).to_pylist()
    return list(map(unpack, stored))


def courses(table: pa.Table, measure: Measure, *, solved_from: float) -> tuple[Course, ...]:
    """A course for each example of a table with HISTORY_COLUMNS of one mode, by their names."""
    columns = Columns(table=table)
    values = measure.values(columns)
    keys = zip(
        example_names(table),
        columns.numbers("attempt").astype(int).tolist(),
        columns.numbers("step").astype(int).tolist(),
        columns.numbers("batch").astype(int).tolist(),
        table["group_id"].to_pylist(),
        strict=True,
    )
    visits: dict[str, dict[tuple[Any, ...], list[int]]] = {}
    known = np.isfinite(values)
    scored, solved = known.tolist(), (known & (values >= solved_from)).tolist()
    for row, (name, *visit) in enumerate(keys):
        tally = visits.setdefault(name, {}).setdefault(tuple(visit), [0, 0, 0])
        tally[0] += 1
        tally[1] += scored[row]
        tally[2] += solved[row]
    return tuple(_course(name, visits[name]) for name in sorted(visits))


def _course(example: str, visits: Mapping[tuple[Any, ...], Sequence[int]]) -> Course:
    """`visits` maps (attempt, step, batch, group) to rollouts, scored and solved ones."""
    ordered = sorted(visits, key=lambda visit: (visit[1], visit[0], visit[2], visit[3]))
    tallies = [visits[visit] for visit in ordered]
    half = len(tallies) // 2
    early, late = (
        share(sum(t[2] for t in part), sum(t[1] for t in part), z=Z_95)
        for part in (tallies[:half], tallies[half:])
    )
    return Course(
        example=example,
        steps=tuple(visit[1] for visit in ordered),
        shares=tuple(tally[2] / tally[1] if tally[1] else math.nan for tally in tallies),
        rollouts=sum(tally[0] for tally in tallies),
        early=early,
        late=late,
        change=_change(early, late, visits=len(tallies)),
    )


def _change(early: Share, late: Share, *, visits: int) -> Change:
    hits, trials = early.hits + late.hits, early.trials + late.trials
    if not trials:
        return Change.UNSCORED
    if hits in (0, trials):
        return Change.ALWAYS if hits else Change.NEVER
    if visits == 1:
        return Change.ONCE
    return _moved(early, late) if early.trials and late.trials else Change.STEADY


def _moved(early: Share, late: Share) -> Change:
    """By the interval of a difference of shares: R. Newcombe, Statistics in Medicine 17, 1998."""
    apart = late.value - early.value
    if apart - math.hypot(late.value - late.low, early.high - early.value) > 0:
        return Change.LEARNT
    if apart + math.hypot(late.high - late.value, early.value - early.low) < 0:
        return Change.FORGOTTEN
    return Change.STEADY


def visits_of(table: pa.Table, measure: Measure, *, solved_from: float) -> tuple[Visit, ...]:
    """The visits of one example, of a table with HISTORY_COLUMNS that has its rollouts of one mode
    alone; by step, attempt and batch."""
    columns = Columns(table=table)
    keys = list(
        zip(
            columns.numbers("step").astype(int).tolist(),
            columns.numbers("attempt").astype(int).tolist(),
            columns.numbers("batch").astype(int).tolist(),
            table["group_id"].to_pylist(),
            strict=True,
        )
    )
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return tuple(_visit(table.take(rows[key]), measure, solved_from) for key in sorted(rows))


def _visit(table: pa.Table, measure: Measure, solved_from: float) -> Visit:
    columns = Columns(table=table)
    first: dict[str, Any] = table.slice(0, 1).to_pylist()[0]
    values = measure.values(columns)
    finite = np.isfinite(values)
    versions = columns.numbers("derived_policy_version")
    known = versions[np.isfinite(versions)]
    hashes = set(columns.texts("derived_text_hash"))
    return Visit(
        step=first["step"],
        batch=first["batch"],
        attempt=first["attempt"],
        group_id=first["group_id"],
        policy_version=int(known.min()) if len(known) else None,
        rollouts=len(columns),
        scored=int(finite.sum()),
        solved=int((finite & (values >= solved_from)).sum()),
        reward=_mean(columns.numbers("reward")),
        components={name: _average(columns.component(name)) for name in columns.component_names},
        turns=_average(columns.numbers("derived_num_turns")),
        calls=_average(columns.numbers("derived_num_tool_calls")),
        tool_errors=_average(columns.numbers("derived_num_tool_errors")),
        tokens=_average(columns.numbers("sampled_tokens")),
        truncated=int(columns.is_true("truncated").sum()),
        stops=dict(Counter(reason or "not recorded" for reason in columns.texts("stop_reason"))),
        outputs=None if None in hashes else len(hashes),
        ids=tuple(columns.ids),
    )


def _average(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _mean(values: Floats) -> Mean:
    with np.errstate(over="ignore", invalid="ignore"):  # rewards may be huge
        return mean_of(values[np.isfinite(values)])
