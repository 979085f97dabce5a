"""The page of `rlvr rewards`: sentences, tables, curves."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.analysis.rewards import ComponentUse, RewardUse
from rlvr.views.rewards import bounds, by_weight, headline, outcome_is
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import Curves
from rlvr.views.terminal.text import heading, number, one_line, plural, share

_NAME = 28
_CURVES = 6
_PAIRS = 8
_HEIGHT = 8
_LONG = 400


def rewards_view(use: RewardUse, *, title: str, run: str = "RUN") -> Group:
    """The whole page. `title` names the run, `run` is how commands call it."""
    return Group(*_page(use, title, run))


def _page(use: RewardUse, title: str, run: str) -> Iterator[RenderableType]:
    yield Text(f"═══ {one_line(title, 80)}", style="bold")
    yield Text(_extent(use), style="dim")
    yield from (Text(one_line(sentence, _LONG), style="bold") for sentence in headline(use))
    if not use.components:
        return
    shown = by_weight(use)
    yield heading("Components", "spread and variation inside groups, where the prompt is the same")
    yield _values(shown)
    yield from _advantages(use, shown)
    yield from _pairs(use)
    yield from _outcome(use)
    yield from _curves(shown)
    yield heading("Next")
    yield layout.command(f"rlvr rewards {run} --plot rewards.svg", "the same as a picture")
    yield layout.command(f"rlvr diagnose {run}", "what is wrong with the run")


def _extent(use: RewardUse) -> str:
    if not use.steps:
        return "no rollouts"
    first, last = use.steps[0], use.steps[-1]
    span = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    groups = plural(use.groups, "group")
    return f"{plural(use.rollouts, 'rollout')} in {groups} of two or more, {span}"


def _values(shown: list[ComponentUse]) -> RenderableType:
    table = layout.table(
        *("component", "weight", "mean", "first → last", "spread", "varies in", "at best"),
        "no value",
        left=("component",),
    )
    for one in shown:
        means = one.mean_by_step
        table.add_row(
            Text(one_line(one.name, _NAME)),
            number(one.weight, 2),
            number(one.mean, 2),
            f"{number(means[0][1], 2)} → {number(means[-1][1], 2)}" if means else "",
            number(one.spread, 2),
            f"{share(one.varying.value)} of groups" if one.varying.trials else "",
            _best(one),
            f"{one.unscored + one.not_finite:,}",
        )
    return table


def _best(component: ComponentUse) -> str:
    """How often it is at its best; that says nothing of one that has a single value."""
    if not component.at_best.trials:
        return ""
    return share(component.at_best.value) if component.low != component.high else "one value"


def _advantages(use: RewardUse, shown: list[ComponentUse]) -> Iterator[RenderableType]:
    decided = [(one, one.decisions) for one in shown if one.decisions is not None]
    if not decided:
        return
    of = "advantages" if use.from_advantages else "deviations from the mean reward"
    yield heading("Who decides", f"the sign of {use.advantaged:,} {of} that are not 0")
    table = layout.table(
        *("component", "decides", "95 %", "followed", "without it: flips", "none"),
        left=("component",),
    )
    for one, part in decided:
        table.add_row(
            Text(one_line(one.name, _NAME)),
            share(part.decides.value),
            bounds(part.decides),
            share(part.follows.value) if part.follows.trials else "",
            share(part.flips.value) if part.flips.trials else "",
            share(part.vanishes.value) if part.vanishes.trials else "",
        )
    yield table


def _pairs(use: RewardUse) -> Iterator[RenderableType]:
    pairs = [(pair, pair.within) for pair in use.pairs if pair.within is not None]
    if not pairs:
        return
    pairs.sort(key=lambda one: one[1].value)
    more = f"; {len(pairs) - _PAIRS:,} more in --json" if len(pairs) > _PAIRS else ""
    yield heading("Pairs", f"within groups, the lowest correlation first{more}")
    table = layout.table(
        "components", "correlation", "95 %", "opposed", "groups", left=("components",)
    )
    for pair, within in pairs[:_PAIRS]:
        table.add_row(
            Text(f"{one_line(pair.first, _NAME)}, {one_line(pair.second, _NAME)}"),
            f"{within.value:+.2f}",
            f"{within.low:+.2f} to {within.high:+.2f}",
            share(pair.opposed.value) if pair.opposed.trials else "",
            f"{within.groups:,}",
        )
    yield table


def _outcome(use: RewardUse) -> Iterator[RenderableType]:
    outcome = use.outcome
    if outcome is None:
        return
    yield heading("Total and outcome", outcome_is(declared=outcome.declared))
    yield layout.facts(
        (
            ("outcome", Text(one_line(outcome.name, 60))),
            (
                "correlation",
                f"{outcome.within.value:+.2f} within groups" if outcome.within else None,
            ),
            ("same sign", _share_line(outcome.agrees.value, bounds(outcome.agrees))),
            ("elsewhere", _share_line(outcome.elsewhere.value, bounds(outcome.elsewhere))),
        )
    )


def _share_line(value: float, interval: str) -> str | None:
    return f"{share(value)} of the advantages ({interval})" if interval else None


def _curves(shown: list[ComponentUse]) -> Iterator[RenderableType]:
    some = shown[:_CURVES]
    decided = {
        one.name: one.decisions.decides_by_step
        for one in some
        if one.decisions is not None and one.decisions.decides.hits
    }
    yield Text()
    means = {one.name: one.mean_by_step for one in some}
    yield Curves(series=means, title="mean of each component", height=_HEIGHT)
    if decided:
        yield Text()
        title = "share of the advantages that it decides"
        yield Curves(series=decided, title=title, height=_HEIGHT, y_range=(0.0, 1.0))
