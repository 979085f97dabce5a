"""Groups of runs beside each other: in sentences, as JSON, and as a picture."""

import math
from collections.abc import Iterator
from typing import Any

from rlvr.analysis.outcome import Measure
from rlvr.analysis.replicates import (
    Comparison,
    Difference,
    Group,
    MeanDifference,
    short_name,
    short_value,
)
from rlvr.analysis.statistics import Mean
from rlvr.views.document import plain
from rlvr.views.plots import DotPanel, Interval, LinePanel, Panel, Picture
from rlvr.views.terminal.text import number, one_line, plural

FEW = 5
"""Runs of a group below which the mean of a group is hardly known."""
_NAMED = 4
_CHANCE = 0.05
_LOOKED_FOR = (
    "model",
    "trainer",
    "dataset",
    "config.learning_rate",
    "config.max_steps",
    "config.beta",
    "config.num_generations",
    "config.per_device_train_batch_size",
    "sampling.temperature",
)
"""Settings that are named before others among those that all runs share."""


def headline(found: Comparison, measure: Measure, *, passes: bool) -> tuple[str, ...]:
    """What the groups differ by, in a sentence or two."""
    what = _what(found, measure, passes=passes)
    if len(found.groups) == 1:
        only = found.groups[0].numbers["last"]
        return (f"One group of {plural(len(found.runs), 'run')}: {what} {mean_text(only)}.",)
    if len(found.differences) == 1:
        return (_between(found.differences[0], what),)
    ranked = sorted(found.groups, key=_last, reverse=True)
    high, low = ranked[0], ranked[-1]
    told = [one for one in found.differences if is_told(one.numbers["last"])]
    chance = _CHANCE * len(found.differences)
    of_high, of_low = (mean_text(group.numbers["last"]) for group in (high, low))
    return (
        f"{what[0].upper()}{what[1:]} is highest for {high.name}, {of_high},"
        f" and lowest for {low.name}, {of_low}.",
        f"{len(told)} of {plural(len(found.differences), 'difference')} have an interval without 0;"
        f" {number(chance, 1)} would by chance if all groups were alike.",
    )


def cautions(found: Comparison) -> tuple[str, ...]:
    """What speaks against reading the numbers as they stand, the gravest first."""
    parts = (_confounding(found), _few(found), _twins(found), _mixing(found), _extent(found))
    return tuple(sentence for part in parts for sentence in part)


def comparison_values(found: Comparison, measure: Measure, *, passes: bool) -> dict[str, Any]:
    """All of it for a JSON document, with the sentences."""
    return {
        "measure": "pass rate" if passes else "mean",
        "component": measure.component,
        "why": measure.why,
        "headline": list(headline(found, measure, passes=passes)),
        "cautions": list(cautions(found)),
        **plain(found),
    }


def comparison_picture(found: Comparison, measure: Measure, *, passes: bool) -> Picture:
    """The mean curve of each group with its band, and the last steps."""
    return Picture(
        title=f"{plural(len(found.runs), 'run')} by {by_text(found) or 'nothing'}",
        panels=tuple(_panels(found, measure, passes=passes)),
        note=" ".join(headline(found, measure, passes=passes)),
    )


def by_text(found: Comparison) -> str:
    """The settings that part the groups."""
    return " and ".join(short_name(name) for name in found.by)


def mean_text(mean: Mean, digits: int = 3) -> str:
    """A mean and half its interval: "0.42 ±0.11"; the mean alone of one run."""
    if not mean.count:
        return "-"
    half = mean.high - mean.value
    shown = number(mean.value, digits)
    return shown if math.isnan(half) else f"{shown} ±{number(half, digits)}"


def difference_text(one: MeanDifference) -> str:
    """A difference and its interval: "+0.21 (+0.12 to +0.30)"."""
    if math.isnan(one.value):
        return "-"
    shown = number(one.value, sign=True)
    if math.isnan(one.low):
        return f"{shown} (no interval)"
    return f"{shown} ({number(one.low, sign=True)} to {number(one.high, sign=True)})"


def is_told(one: MeanDifference) -> bool:
    """Whether the interval leaves 0 out."""
    return one.low > 0 or one.high < 0


def last_text(found: Comparison) -> str:
    """ "the last 3 steps"."""
    return "the last step" if found.window == 1 else f"the last {found.window} steps"


def reached_text(group: Group) -> str:
    """The step at which the group's runs reach the threshold, and how many do where not all."""
    mean = group.numbers["reached"]
    if not mean.count:
        return "never"
    if mean.count == len(group.runs):
        return mean_text(mean, 1)
    return f"{number(mean.value, 1)} in {mean.count} of {len(group.runs)}"


def _what(found: Comparison, measure: Measure, *, passes: bool) -> str:
    name = one_line(measure.name, 40)
    return f"the pass rate by {name}" if passes else f"mean {name} over {last_text(found)}"


def _between(one: Difference, what: str) -> str:
    last = one.numbers["last"]
    if math.isnan(last.low):
        return f"{one.a} minus {one.b}: {number(last.value, sign=True)} in {what}; no interval."
    interval = f"95% interval {number(last.low, sign=True)} to {number(last.high, sign=True)}"
    if not is_told(last):
        return (
            f"Between {one.a} and {one.b} no difference of {what} is proven:"
            f" {number(last.value, sign=True)}, {interval}."
        )
    more = "more" if last.value > 0 else "less"
    return f"{one.a} has {number(abs(last.value))} {more} than {one.b} in {what}, {interval}."


def _last(group: Group) -> float:
    value = group.numbers["last"].value
    return value if math.isfinite(value) else -math.inf


def _confounding(found: Comparison) -> Iterator[str]:
    if len(found.groups) < 2:
        return
    if len(found.by) > 1 and len(found.groups) == 2:
        named = _listed([short_name(name) for name in found.by])
        yield f"The groups differ in {named} at once: none of these can be told from the others."
    if found.confounded:
        named = _listed([short_name(one.name) for one in found.confounded])
        yield f"Between the groups {named} differ too, which may be what makes the difference."


def _few(found: Comparison) -> Iterator[str]:
    counts = [len(group.runs) for group in found.groups]
    single = counts.count(1)
    if single:
        groups = "Each group" if single == len(counts) else f"{plural(single, 'group')} of these"
        verb = "has" if single == len(counts) or single == 1 else "have"
        yield f"{groups} {verb} a single run: how much chance moves it is not known."
    low = min((count for count in counts if count > 1), default=FEW)
    if low < FEW:
        yield (
            f"With {low} runs in a group an interval takes it that runs scatter normally, and a"
            " difference must be large to be seen: what is not proven may still be there."
        )


def _twins(found: Comparison) -> Iterator[str]:
    for ids in found.twins[:_NAMED]:
        yield (
            f"{_listed(list(ids))} have the same seed: they may be less independent than the"
            " interval takes them to be."
        )


def _mixing(found: Comparison) -> Iterator[str]:
    if found.mixed:
        named = _listed([short_name(one.name) for one in found.mixed])
        yield f"Within a group {named} differ: its runs are no mere repetitions."


def _extent(found: Comparison) -> Iterator[str]:
    if found.limited_by is not None:
        yield (
            f"Steps after {found.last:,} are left out, since {found.limited_by} ends there;"
            " --all-steps follows each run to its own end."
        )


def _listed(names: list[str]) -> str:
    shown = [one_line(name, 60) for name in names[:_NAMED]]
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown) + rest


def _panels(found: Comparison, measure: Measure, *, passes: bool) -> Iterator[Panel]:
    named = {f"{group.name} ({len(group.runs)})": group for group in found.groups}
    if any(len(group.curve) > 1 for group in found.groups):
        yield LinePanel(
            title=f"{measure.name}: mean over the runs of a group, 95% interval",
            series={name: [(p.step, p.mean) for p in g.curve] for name, g in named.items()},
            intervals={
                name: [Interval(x=p.step, low=p.low, high=p.high) for p in group.curve]
                for name, group in named.items()
            },
        )
    means = {name: group.numbers["last"] for name, group in named.items()}
    yield DotPanel(
        title="pass rate" if passes else last_text(found),
        values={name: mean.value for name, mean in means.items()},
        intervals={name: (mean.low, mean.high) for name, mean in means.items() if mean.count > 1},
        x_label=measure.name,
    )


def same_text(found: Comparison, limit: int) -> str:
    """Settings that all runs share, on one line, those that people look for first."""
    names = [name for name in _LOOKED_FOR if name in found.same]
    names += [name for name in found.same if name not in names]
    shown = ", ".join(
        f"{short_name(name)}={short_value(found.same[name])}" for name in names[:limit]
    )
    rest = len(names) - limit
    return f"{shown} and {rest:,} more" if rest > 0 else shown or "nothing that was recorded"
