"""What a run's reward components do: in sentences, as JSON, and as a picture."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rlvr.analysis.rewards import ComponentPair, ComponentUse, RewardUse
from rlvr.analysis.statistics import Share
from rlvr.diagnosis.thresholds import CONFLICT, CONFLICT_GROUPS, UNAFFECTED
from rlvr.views.document import plain
from rlvr.views.plots import HeatPanel, LinePanel, Panel, Picture, SharePanel, thinned
from rlvr.views.terminal.text import plural
from rlvr.views.terminal.text import share as percent

STEADY_STEPS = 3
"""Steps in a row without any variation from which on it is said."""
_ELSEWHERE = 0.1
_NAMED = 3


def headline(use: RewardUse) -> tuple[str, ...]:
    """The answer in some sentences: who decides, what never varies, what failed, what conflicts."""
    if not use.rollouts:
        return ("There is no rollout to look at.",)
    if not use.components:
        return (f"{plural(use.rollouts, 'rollout')}, and no component of a reward was recorded.",)
    return tuple(
        sentence
        for part in (_deciders(use), _steady(use), _failed(use), _conflicts(use), _apart(use))
        for sentence in part
    )


def reward_values(use: RewardUse) -> dict[str, Any]:
    """All of it for a JSON document, with the headline."""
    return {"headline": list(headline(use)), **plain(use)}


def reward_picture(use: RewardUse, *, title: str) -> Picture:
    """Means, spreads and decisions over the steps, and the correlations within groups."""
    return Picture(
        title=f"Rewards of {title}",
        panels=tuple(_panels(use)),
        note=" ".join(headline(use)[:2]),
    )


def by_weight(use: RewardUse) -> list[ComponentUse]:
    """The components, those that decide the most first, then by weight."""
    return sorted(use.components, key=lambda one: (-_decided(one), -abs(one.weight or 0.0)))


def conflicts(use: RewardUse) -> list[ComponentPair]:
    """Pairs whose correlation is proven to be low, in as many groups as the diagnosis asks for."""
    return [
        pair
        for pair in use.pairs
        if pair.within is not None
        and pair.within.groups >= CONFLICT_GROUPS
        and pair.within.high < CONFLICT
    ]


def _decided(component: ComponentUse) -> float:
    return component.decisions.decides.value if component.decisions else -1.0


def _deciders(use: RewardUse) -> Iterator[str]:
    if not use.advantaged:
        yield (
            f"No advantage differs from 0 in {plural(use.rollouts, 'rollout')}: in every group all"
            " rewards are equal, or missing."
        )
        return
    ranked = [one for one in by_weight(use) if _decided(one) > 0][:_NAMED]
    what = "advantages" if use.from_advantages else "deviations from the group's mean reward"
    if not ranked:
        yield f"Which component decides the {what} is not known: the run names no weights."
        return
    first = f"{ranked[0].name} decides {percent(_decided(ranked[0]))} of the {what}"
    rest = [f"{one.name} {percent(_decided(one))}" for one in ranked[1:]]
    yield ", ".join([first, *rest]) + "."


def _steady(use: RewardUse) -> Iterator[str]:
    """Components that count and that no longer tell, or never told, rollouts of a prompt apart."""
    told = [one for one in by_weight(use) if one.varying.trials and one.weight != 0]
    never = [one.name for one in told if one.varied_last is None]
    if never:
        names = " and ".join(filter(None, (", ".join(never[:-1]), never[-1])))
        yield f"{names} never {'varies' if len(never) == 1 else 'vary'} within a group."
    for component in told:
        last = component.varied_last
        after = [step for step, _ in component.spread_by_step if last is not None and step > last]
        if len(after) >= STEADY_STEPS:
            yield f"{component.name} has not varied within a group since step {after[0]}."


def _failed(use: RewardUse) -> Iterator[str]:
    for component in use.components:
        if component.unscored or component.not_finite:
            yield f"{component.name} has no value in {_lacking(component)}."


def _lacking(component: ComponentUse) -> str:
    """How many rollouts have no value of it, and why: "12 (error 10, timeout 2)"."""
    reasons = [f"{status} {count:,}" for status, count in component.statuses.items()]
    if component.not_finite:
        reasons.append(f"NaN or infinite {component.not_finite:,}")
    said = f" ({', '.join(reasons)})" if reasons else ""
    return plural(component.unscored + component.not_finite, "rollout") + said


def _conflicts(use: RewardUse) -> Iterator[str]:
    for pair in conflicts(use)[:_NAMED]:
        value = pair.within.value if pair.within else math.nan
        yield f"{pair.first} and {pair.second} pull apart within groups (correlation {value:+.2f})."


def _apart(use: RewardUse) -> Iterator[str]:
    outcome = use.outcome
    if outcome is not None and outcome.elsewhere.value > _ELSEWHERE:
        yield (
            f"{percent(outcome.elsewhere.value)} of them stand in groups in which"
            f" {outcome.name}, {outcome_is(declared=outcome.declared)}, is the same for all."
        )
    if use.unexplained is not None and use.unexplained.value > UNAFFECTED:
        yield (
            f"In {percent(use.unexplained.value)} of the rollouts the reward is not the weighted"
            " sum of the components."
        )


def outcome_is(*, declared: bool) -> str:
    """What makes that component the outcome."""
    return "the outcome" if declared else "the component of the largest weight"


def _panels(use: RewardUse) -> Iterator[Panel]:
    shown = by_weight(use)
    means = {one.name: thinned(one.mean_by_step) for one in shown}
    yield LinePanel(title="mean of each component", series=means)
    yield SharePanel(title="which component decides the advantages", series=_decisions(shown))
    spreads = {one.name: thinned(one.spread_by_step) for one in shown}
    yield LinePanel(title="spread inside groups (standard deviation)", series=spreads)
    names = [one.name for one in shown]
    yield HeatPanel(
        title="correlation within groups",
        rows=names,
        columns=names,
        values=correlations(use, names),
    )
    best = {one.name: thinned(one.at_best_by_step) for one in shown}
    yield LinePanel(title="share at the component's best value", series=best, y_range=(0.0, 1.0))
    yield _last_panel(use, shown)


def _last_panel(use: RewardUse, shown: Sequence[ComponentUse]) -> LinePanel:
    """Failures of scorers where there are any, else the total beside the outcome."""
    failing = {one.name: thinned(one.unscored_by_step) for one in shown if one.unscored}
    if failing:
        return LinePanel(title="share without a value", series=failing, y_range=(0.0, 1.0))
    series = {"total reward": thinned(use.reward_by_step)}
    outcome = use.outcome
    for one in shown:
        if outcome is not None and one.name == outcome.name:
            series[f"{one.name} (outcome)"] = thinned(one.mean_by_step)
    return LinePanel(title="total reward and outcome", series=series)


def _decisions(shown: Sequence[ComponentUse]) -> dict[str, Any]:
    return {
        one.name: thinned(one.decisions.decides_by_step)
        for one in shown
        if one.decisions is not None and one.decisions.decides.hits
    }


def correlations(use: RewardUse, names: Sequence[str]) -> list[list[float | None]]:
    """The correlation of each pair within groups, shape (names, names); None where unknown."""
    found = {
        frozenset((pair.first, pair.second)): pair.within.value
        for pair in use.pairs
        if pair.within is not None
    }
    return [
        [None if row == column else found.get(frozenset((row, column))) for column in names]
        for row in names
    ]


def bounds(share: Share) -> str:
    """The interval of a share: "12% to 18%"."""
    return f"{percent(share.low)} to {percent(share.high)}" if share.trials else ""
