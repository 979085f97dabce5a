"""`/r/RUN/rewards`: what does each component of the reward do, and which of them decide?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rlvr.analysis.rewards import ComponentUse, RewardUse
from rlvr.questions.reading import Ids
from rlvr.viewer import whole_run
from rlvr.viewer.answers import Answer
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.pages.sliced import Slice, passing, slice_of
from rlvr.viewer.whole_run import RewardsExamined
from rlvr.views.plots import Picture
from rlvr.views.rewards import (
    bounds,
    by_weight,
    conflicts,
    correlations,
    headline,
    outcome_is,
    reward_picture,
)
from rlvr.views.terminal.text import number, share
from rlvr.views.web import Crumb, Page
from rlvr.views.web.charts import Chart, Series, chart

_CURVES = 6
_MATRIX = 12


def rewards_page(desk: Desk, asked: Asked) -> Page:
    """Values, decisions, pairs and curves; each number opens rollouts that show it."""
    chosen = slice_of(desk, asked)
    answer = _examined(desk, chosen, 1.0)
    if answer.value is None:
        return waiting(desk, "reading the rewards", tab="rewards")
    use = answer.value.use
    shown = by_weight(use)
    return Page(
        template="rewards.html",
        title="Rewards",
        places=desk.places,
        tab="rewards",
        crumbs=(
            *desk.crumbs,
            Crumb("rewards"),
        ),
        command=f"rlvr rewards {chosen.arguments(desk.argument)}",
        live=True,
        values={
            "asked": chosen.parameters,
            "named": chosen.named(desk.run),
            "older": not answer.current,
            "use": use,
            "headline": headline(use),
            "of": "advantages" if use.from_advantages else "deviations from the mean reward",
            "components": [_component(desk, chosen, one) for one in shown],
            "decisions": list(_decisions(desk, shown, answer.value.ids)),
            "pairs": list(_pairs(use)),
            "matrix": _matrix(use, [one.name for one in shown][:_MATRIX]),
            "outcome": _outcome(use),
            "charts": list(_charts(use, shown, desk)),
            "svg": desk.places.of_rewards("svg", **chosen.parameters),
            "png": desk.places.of_rewards("png", **chosen.parameters),
        },
    )


def rewards_picture(desk: Desk, asked: Asked) -> Picture | None:
    """The page's plots as one picture; None while they are awaited."""
    chosen = slice_of(desk, asked)
    found = _examined(desk, chosen, 20.0).value
    return None if found is None else reward_picture(found.use, title=chosen.named(desk.run))


def _examined(desk: Desk, chosen: Slice, patience_s: float) -> Answer[RewardsExamined]:
    return desk.whole(f"rewards {chosen}", whole_run.rewards, chosen.filters, patience_s=patience_s)


def _component(desk: Desk, chosen: Slice, one: ComponentUse) -> dict[str, Any]:
    places = desk.places
    name = '"rewards.' + one.name.replace('"', '""') + '"'
    within = chosen.condition
    best = one.low if one.weight is not None and one.weight < 0 else one.high
    edge = "<=" if one.weight is not None and one.weight < 0 else ">="
    means = one.mean_by_step
    single = one.low == one.high
    return {
        "use": one,
        "lacking": one.unscored + one.not_finite,
        "ends": [
            (number(value, 2), places.of_step(step, split=chosen.mode.value))
            for step, value in (means[0], means[-1])
        ]
        if means
        else [],
        "best": "one value" if single else share(one.at_best.value) if one.at_best.trials else "",
        "varying": share(one.varying.value) if one.varying.trials else "",
        "scored_url": places.of_rollouts(where=f"{within} and {name} is not null"),
        "best_url": ""
        if best is None
        else places.of_rollouts(where=f"{within} and {name} {edge} {best - 1e-9!r}"),
        "lacking_url": places.of_rollouts(where=f"{within} and ({name} is null or {name} is nan)"),
        "varied_url": ""
        if one.varied_last is None
        else places.of_step(one.varied_last, split=chosen.mode.value),
    }


def _decisions(
    desk: Desk, shown: Sequence[ComponentUse], ids: Mapping[str, Mapping[str, Ids]]
) -> Iterator[dict[str, Any]]:
    for one in shown:
        part = one.decisions
        if part is None:
            continue
        own = ids.get(one.name, {})
        yield {
            "name": one.name,
            "interval": bounds(part.decides),
            "follows": share(part.follows.value) if part.follows.trials else "",
            **{
                what: (
                    share(value.value) if value.trials else "",
                    passing(desk, own.get(what, ())),
                )
                for what, value in (
                    ("decides", part.decides),
                    ("flips", part.flips),
                    ("vanishes", part.vanishes),
                )
            },
        }


def _pairs(use: RewardUse) -> Iterator[dict[str, Any]]:
    apart = conflicts(use)
    known = [(pair, pair.within) for pair in use.pairs if pair.within is not None]
    for pair, within in sorted(known, key=lambda one: one[1].value):
        yield {
            "first": pair.first,
            "second": pair.second,
            "value": f"{within.value:+.2f}",
            "interval": f"{within.low:+.2f} to {within.high:+.2f}",
            "opposed": share(pair.opposed.value) if pair.opposed.trials else "",
            "groups": within.groups,
            "apart": pair in apart,
        }


def _matrix(use: RewardUse, names: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The correlations within groups, each with how strong it is, from -4 to 4."""
    return [
        (name, [("", "") if v is None else (f"{v:+.2f}", f"c{round(v * 4):+d}") for v in row])
        for name, row in zip(names, correlations(use, names), strict=True)
    ]


def _outcome(use: RewardUse) -> list[tuple[str, str]]:
    outcome = use.outcome
    if outcome is None:
        return []
    within = f"{outcome.within.value:+.2f} within groups" if outcome.within else ""
    facts = [
        ("outcome", f"{outcome.name}, {outcome_is(declared=outcome.declared)}"),
        ("correlation", within),
    ]
    for name, value in (("same sign", outcome.agrees), ("elsewhere", outcome.elsewhere)):
        if value.trials:
            facts.append((name, f"{share(value.value)} of the advantages ({bounds(value)})"))
    return facts


def _charts(use: RewardUse, shown: Sequence[ComponentUse], desk: Desk) -> Iterator[Chart]:
    some = shown[:_CURVES]

    def drawn(title: str, series: list[Series], *, whole: bool = False) -> Chart:
        low, high = (0.0, 1.0) if whole else (None, None)
        return chart(title, series, url=desk.places.of_step, low=low, high=high)

    yield drawn(
        "mean of each component", [Series(name=o.name, points=o.mean_by_step) for o in some]
    )
    decided = [
        Series(name=one.name, points=one.decisions.decides_by_step)
        for one in some
        if one.decisions is not None and one.decisions.decides.hits
    ]
    if decided:
        yield drawn("share of the advantages that it decides", decided, whole=True)
    yield drawn(
        "spread inside groups (standard deviation)",
        [Series(name=one.name, points=one.spread_by_step) for one in some],
    )
    yield drawn(
        "share at the component's best value",
        [Series(name=one.name, points=one.at_best_by_step) for one in some],
        whole=True,
    )
    lacking = [Series(name=o.name, points=o.unscored_by_step) for o in some if o.unscored]
    if lacking:
        yield drawn("share without a value", lacking, whole=True)
    yield drawn("total reward", [Series(name="total", points=use.reward_by_step)])
