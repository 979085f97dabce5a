"""Groups of runs beside each other, the runs of a group being replicates of one configuration.

The unit is the run: an interval is over runs, however many rollouts each has.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from rlvr.analysis.columns import Floats
from rlvr.analysis.replicates.differences import MeanDifference, welch
from rlvr.analysis.replicates.grouping import (
    Grouped,
    Settings,
    Varying,
    group_runs,
    seed_of,
    short_name,
    short_value,
)
from rlvr.analysis.replicates.scores import CURVE, USE, Curve, scores
from rlvr.analysis.statistics import Z_95, Mean, mean_of, student_t

MOST_WINDOW = 10
"""Steps that "the last" are unless asked; of short runs a quarter."""

NAMED_BY = 2
"""Settings up to which a group is named by their values; beyond them it has a number."""

ALL_PAIRS = 4
"""Groups up to which each is compared with each; more are compared with the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A run as it is compared."""

    id: str
    place: str
    settings: Settings
    curve: Curve
    attempts: int = 1
    findings: tuple[str, ...] | None = None

    @property
    def last_step(self) -> int | None:
        """The last step that has a value, None where none has."""
        steps = self.curve.steps[self.curve.scored]
        return int(steps[-1]) if len(steps) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How runs are compared. `window` and `threshold` are chosen from the curves where None.

    Unless `all_steps`, only steps count that every run reached.
    """

    by: tuple[str, ...] = ()
    window: int | None = None
    threshold: float | None = None
    all_steps: bool = False
    first: int = 0
    last: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScores:
    """The numbers of one run; NaN where it has none."""

    id: str
    place: str
    seed: str | None
    attempts: int
    steps: int
    last_step: int | None
    unscored: int
    rollouts: int
    numbers: Mapping[str, float]
    findings: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandPoint:
    """The mean over the runs of a group at a step that all of them have, with its interval."""

    step: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs of one configuration. A mean has the bounds NaN where a single run has the number.

    `numbers` are over the runs that have the number, which `Mean.count` says: of `reached` those
    that reached the threshold. `findings` maps each code to the runs it was found in.
    """

    name: str
    values: Mapping[str, str]
    runs: tuple[RunScores, ...]
    numbers: Mapping[str, Mean]
    curve: tuple[BandPoint, ...]
    findings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Group `a` minus group `b`, by number; `settings` are those in which they differ, asked for
    or not."""

    a: str
    b: str
    numbers: Mapping[str, MeanDifference]
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The groups, and between which of them there is a difference.

    `first` and `last` bound the steps that are compared; `limited_by` names the run whose end cut
    those of others, and `window` and `threshold` are those of `scores`.
    """

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    same: Mapping[str, str]
    confounded: tuple[Varying, ...]
    mixed: tuple[Varying, ...]
    aliases: Mapping[str, tuple[str, ...]]
    first: int
    last: int
    limited_by: str | None
    window: int
    threshold: float
    twins: tuple[tuple[str, ...], ...]

    @property
    def runs(self) -> tuple[RunScores, ...]:
        """All runs, by group."""
        return tuple(run for group in self.groups for run in group.runs)


def compare_members(members: Sequence[Member], wanted: Wanted) -> Comparison:
    """The runs in groups. There is at least one, and each has a step with a value.

    Raises:
        ConfigurationError: no run has a setting of `wanted.by`.
    """
    grouped = group_runs([member.settings for member in members], wanted.by)
    last, limited_by = _last_step(members, wanted)
    curves = [member.curve.until(wanted.first, last) for member in members]
    window = wanted.window or _window(curves)
    threshold = wanted.threshold if wanted.threshold is not None else _halfway(curves, window)
    rows = [
        _run_scores(member, curve, scores(curve, window=window, threshold=threshold))
        for member, curve in zip(members, curves, strict=True)
    ]
    groups = tuple(
        _group(
            _name(grouped.by, values, number),
            dict(zip(grouped.by, values, strict=True)),
            [rows[at] for at in places],
            [curves[at] for at in places],
        )
        for number, (values, places) in enumerate(grouped.groups, 1)
    )
    return Comparison(
        by=grouped.by,
        groups=groups,
        differences=tuple(_differences(groups, grouped)),
        same=grouped.same,
        confounded=grouped.confounded,
        mixed=grouped.mixed,
        aliases=grouped.aliases,
        first=wanted.first,
        last=last,
        limited_by=limited_by,
        window=window,
        threshold=threshold,
        twins=_twins(grouped, rows),
    )


def _last_step(members: Sequence[Member], wanted: Wanted) -> tuple[int, str | None]:
    """The last step that is compared, and the run that ends there while another goes on."""
    ends = [member.last_step or 0 for member in members]
    asked = max(ends) if wanted.last is None else min(wanted.last, max(ends))
    if wanted.all_steps or min(ends) >= asked:
        return asked, None
    return min(ends), members[ends.index(min(ends))].id


def _window(curves: Sequence[Curve]) -> int:
    shortest = min(int(curve.scored.sum()) for curve in curves)
    return max(1, min(MOST_WINDOW, shortest // 4))


def _halfway(curves: Sequence[Curve], window: int) -> float:
    """Halfway from where the runs begin, on average, to the best of all."""
    found = [scores(curve, window=window, threshold=math.inf) for curve in curves]
    begin = [one["last"] - one["gain"] for one in found if math.isfinite(one["gain"])]
    best = [one["best"] for one in found if math.isfinite(one["best"])]
    return (float(np.mean(begin)) + max(best)) / 2 if begin and best else math.nan


def _run_scores(member: Member, curve: Curve, numbers: Mapping[str, float]) -> RunScores:
    return RunScores(
        id=member.id,
        place=member.place,
        seed=seed_of(member.settings),
        attempts=member.attempts,
        steps=len(curve.steps),
        last_step=member.last_step,
        unscored=member.curve.unscored,
        rollouts=member.curve.rollouts,
        numbers=numbers,
        findings=member.findings,
    )


def _name(by: Sequence[str], values: Sequence[str], number: int) -> str:
    """The settings and values of a group, or its number where these are many."""
    if not by:
        return "all runs"
    if len(by) > NAMED_BY:
        return f"group {number}"
    return ", ".join(
        f"{short_name(name)}={short_value(value)}" for name, value in zip(by, values, strict=True)
    )


def _group(
    name: str, values: Mapping[str, str], runs: Sequence[RunScores], curves: Sequence[Curve]
) -> Group:
    codes = [code for run in runs for code in dict.fromkeys(run.findings or ())]
    return Group(
        name=name,
        values=values,
        runs=tuple(runs),
        numbers={name: mean_of(_known(runs, name)) for name in (*CURVE, *USE)},
        curve=tuple(_band(curves)),
        findings={code: codes.count(code) for code in sorted(set(codes))},
    )


def _known(runs: Sequence[RunScores], name: str) -> Floats:
    found = np.array([run.numbers[name] for run in runs], dtype=np.float64)
    return found[np.isfinite(found)]


def _band(curves: Sequence[Curve]) -> list[BandPoint]:
    """Means over the curves at the steps that all of them have a value at."""
    valued = [curve.steps[curve.scored] for curve in curves]
    shared = valued[0]
    for steps in valued[1:]:
        shared = np.intersect1d(shared, steps)
    rows = np.array([curve.values[np.isin(curve.steps, shared)] for curve in curves])
    means = rows.mean(axis=0)
    half = np.full(len(shared), math.nan)
    if len(curves) > 1:
        quantile = student_t(Z_95, len(curves) - 1)
        half = rows.std(axis=0, ddof=1) * quantile / math.sqrt(len(curves))
    return [
        BandPoint(step=int(step), mean=float(mean), low=float(mean - h), high=float(mean + h))
        for step, mean, h in zip(shared, means, half, strict=True)
    ]


def _differences(groups: Sequence[Group], grouped: Grouped) -> list[Difference]:
    """Later groups minus earlier ones: of each pair, or of each and the first."""
    pairs = list(combinations(range(len(groups)), 2))
    if len(groups) > ALL_PAIRS:
        pairs = [(0, at) for at in range(1, len(groups))]
    return [_difference(groups, grouped, later, earlier) for earlier, later in pairs]


def _difference(groups: Sequence[Group], grouped: Grouped, a: int, b: int) -> Difference:
    pair = groups[a], groups[b]
    numbers = {}
    for name in (*CURVE, *USE):
        complete = all(group.numbers[name].count == len(group.runs) for group in pair)
        if name != "reached" or complete:  # a run that never got there has no step to average
            numbers[name] = welch(*(_known(group.runs, name) for group in pair))
    asked = [name for name in grouped.by if pair[0].values[name] != pair[1].values[name]]
    others = [
        one.name
        for one in grouped.confounded
        if set(one.of(grouped.groups[a][1])) != set(one.of(grouped.groups[b][1]))
    ]
    return Difference(a=pair[0].name, b=pair[1].name, numbers=numbers, settings=(*asked, *others))


def _twins(grouped: Grouped, rows: Sequence[RunScores]) -> tuple[tuple[str, ...], ...]:
    """Ids of the runs of a group that were trained with one and the same seed."""
    found = []
    for _, places in grouped.groups:
        by_seed: dict[str, list[str]] = {}
        for at in places:
            seed = rows[at].seed
            if seed is not None:
                by_seed.setdefault(seed, []).append(rows[at].id)
        found += [tuple(ids) for ids in by_seed.values() if len(ids) > 1]
    return tuple(found)
