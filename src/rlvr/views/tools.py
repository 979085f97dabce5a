"""How a run's tools are used: in sentences, as JSON, and as a picture."""

from collections.abc import Iterator, Sequence
from typing import Any

from rlvr.analysis.calls import NO_NAME, NOT_OFFERED, OTHERS
from rlvr.analysis.changes import Change
from rlvr.analysis.statistics import Mean
from rlvr.analysis.tooling import ToolLine, ToolsUse
from rlvr.views.document import plain
from rlvr.views.plots import DotPanel, LinePanel, Marker, Panel, Picture, SharePanel, thinned
from rlvr.views.terminal.text import number, one_line, plural
from rlvr.views.terminal.text import share as percent

_NAMED = 3
_PATTERNS = 6
_LARGE = 0.01
_GROUPS = 10


def headline(use: ToolsUse) -> tuple[str, ...]:
    """The answer in some sentences: how many calls, what fails, what changed, what pays."""
    if not use.rollouts:
        return ("There is no rollout to look at.",)
    if not use.calls:
        return (f"No tool was called in {plural(use.read, 'rollout')}.", *_unread(use))
    parts = (_amount(use), _failures(use), _changes(use), _pays(use), _unread(use))
    return tuple(sentence for part in parts for sentence in part)


def tool_values(use: ToolsUse) -> dict[str, Any]:
    """All of it for a JSON document, with the headline and each pattern's line."""
    patterns = [{**plain(one), "text": one.text} for one in use.patterns]
    return {"headline": list(headline(use)), **plain(use), "patterns": patterns}


def tool_picture(use: ToolsUse, *, title: str) -> Picture:
    """Calls, errors, orders of calls and what they earn, over the steps."""
    return Picture(
        title=f"Tools of {title}",
        panels=tuple(_panels(use)),
        note=" ".join(headline(use)[:2]),
    )


def change_text(change: Change) -> str:
    """The levels before and after: "1.21 → 1.94"."""
    return f"{number(change.before, 2)} → {number(change.after, 2)}"


def real_tools(use: ToolsUse) -> list[ToolLine]:
    """The tools that exist, as far as is known: not those that stand for names that do not."""
    return [line for line in use.tools if line.name not in (NO_NAME, NOT_OFFERED, OTHERS)]


def difference_text(mean: Mean) -> str:
    """A difference of rewards with its interval: "+0.31 (+0.22 to +0.40)"; none without groups."""
    if not mean.count:
        return ""
    value = number(mean.value, 2, sign=True)
    if mean.count < 2:
        return value
    return f"{value} ({number(mean.low, 2, sign=True)} to {number(mean.high, 2, sign=True)})"


def _amount(use: ToolsUse) -> Iterator[str]:
    per_rollout = use.calls / use.read
    tools = real_tools(use)
    used = [f"{line.name} {number(line.calls_per_rollout, 2)}" for line in tools[:_NAMED]]
    rest = f" and {plural(len(tools) - _NAMED, 'more tool')}" if len(tools) > _NAMED else ""
    shown = f": {', '.join(used)}{rest}" if tools else ""
    yield f"{number(per_rollout, 2)} calls a rollout{shown}."


def _failures(use: ToolsUse) -> Iterator[str]:
    for line in use.tools:
        if line.raised.value > _LARGE:
            yield f"{percent(line.raised.value)} of the calls of {line.name} raise."
    if use.malformed.value > _LARGE:
        yield f"{percent(use.malformed.value)} of the calls are malformed and reach no tool."
    if use.not_offered is not None and use.not_offered.hits:
        yield (
            f"{percent(use.not_offered.value)} of the calls name a tool that is not offered, such"
            f" as {one_line(use.invented[0], 40)}."
        )
    if use.unparsed.value > _LARGE:
        yield (
            f"In {percent(use.unparsed.value)} of the rollouts a call stands in the text that"
            " nobody parsed."
        )


def _changes(use: ToolsUse) -> Iterator[str]:
    for line in real_tools(use)[:_NAMED]:
        for what, found in (
            (f"calls of {line.name} a rollout", line.calls_changes),
            (f"errors of {line.name}", line.raised_changes),
        ):
            if found:
                largest = max(found, key=lambda change: abs(change.after - change.before))
                yield f"At step {largest.step:,} the {what} change, {change_text(largest)}."


def _pays(use: ToolsUse) -> Iterator[str]:
    for line in real_tools(use)[:_NAMED]:
        mean = line.difference
        if mean.count >= _GROUPS and (mean.low > 0 or mean.high < 0):
            word = "more" if mean.value > 0 else "less"
            yield (
                f"Rollouts that use {line.name} earn {number(abs(mean.value), 2)} {word} than"
                f" others of their group ({plural(mean.count, 'group')})."
            )


def _unread(use: ToolsUse) -> Iterator[str]:
    if use.read < use.rollouts:
        yield (
            f"Of {plural(use.rollouts - use.read, 'rollout')} the calls are no longer on record or"
            " can't be read."
        )


def _panels(use: ToolsUse) -> Iterator[Panel]:
    real = real_tools(use)
    several = len(use.tools) > 1
    marks = real[0].calls_changes if len(real) == 1 else use.calls_changes
    calls = {line.name: thinned(line.calls_by_step) for line in use.tools}
    if several:
        calls = {"all tools": thinned(use.calls_by_step), **calls}
    yield LinePanel(title="calls a rollout", series=calls, markers=_marks(marks))
    errors = {f"{line.name} raises": thinned(line.raised_by_step) for line in real}
    errors["malformed calls"] = thinned(use.malformed_by_step)
    errors["unparsed (rollouts)"] = thinned(use.unparsed_by_step)
    raised = [change for line in real for change in line.raised_changes]
    yield LinePanel(title="share of failures", series=errors, markers=_marks(raised))
    shown = use.patterns[:_PATTERNS]
    yield SharePanel(title="orders of calls", series=_orders(use))
    yield DotPanel(
        title="mean reward of each order of calls",
        values={one.text: one.reward for one in shown if one.reward is not None},
        x_label="mean reward",
    )
    yield DotPanel(
        title="reward of users minus others of the group",
        values={line.name: line.difference.value for line in use.tools if line.difference.count},
        intervals={
            line.name: (line.difference.low, line.difference.high)
            for line in use.tools
            if line.difference.count > 1
        },
        x_label="reward",
        zero=True,
    )
    seconds = {line.name: thinned(line.seconds_by_step) for line in real}
    yield LinePanel(title="seconds a call", series=seconds)


def _orders(use: ToolsUse) -> dict[str, Sequence[tuple[float, float]]]:
    """The share of each of the most frequent orders, and of all others, over the steps."""
    shown = use.patterns[:_PATTERNS]
    series = {one.text: thinned(one.by_step) for one in shown}
    if use.patterns_total > len(shown):
        sums = [sum(value for _, value in at) for at in zip(*series.values(), strict=True)]
        steps = [step for step, _ in series[shown[0].text]]
        others = [max(1.0 - total, 0.0) for total in sums]
        series["others"] = list(zip(steps, others, strict=True))
    return series


def _marks(found: Sequence[Change]) -> tuple[Marker, ...]:
    return tuple(
        Marker(x=change.step, label=f"step {change.step:,}: {change_text(change)}")
        for change in found
    )


def difference_of(line: ToolLine) -> str:
    """What its users earn more, and in how many groups that could be compared."""
    shown = difference_text(line.difference)
    return f"{shown} in {plural(line.difference.count, 'group')}" if shown else ""
