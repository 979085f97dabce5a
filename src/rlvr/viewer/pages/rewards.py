"""`/r/RUN/rewards`: what does each component of the reward do, and which of them decide?"""

from collections.abc import Iterator, Sequence
from typing import Any

from rlvr.analysis.reward_rows import Behind
from rlvr.analysis.rewards import ComponentUse, RewardUse
from rlvr.analysis.statistics import Share
from rlvr.analysis.within import FLAT_SPREAD
from rlvr.errors import RecordNotFound
from rlvr.viewer import whole_run
from rlvr.viewer.answers import Answer
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.indexing import indexed
from rlvr.viewer.pages.members import members_page
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.pages.sliced import Slice, component, finite, slice_of, sliced_page
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
from rlvr.views.terminal.text import number, one_line, share
from rlvr.views.web import Crumb, Linked, Page
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
    return sliced_page(
        desk,
        chosen,
        "rewards.html",
        title="Rewards",
        tab="rewards",
        current=answer.current,
        values={
            "use": use,
            "headline": headline(use),
            "of": "advantages" if use.from_advantages else "deviations from the mean reward",
            "components": [_component(desk, chosen, one) for one in shown],
            "moved": _behind(desk, chosen, Behind.MOVED) if use.advantaged else "",
            "decisions": list(_decisions(desk, chosen, shown)),
            "pairs": list(_pairs(desk, chosen, use)),
            "matrix": _matrix(use, [one.name for one in shown][:_MATRIX]),
            "outcome": _outcome(desk, chosen, use),
            "charts": list(_charts(use, shown, desk)),
            "svg": desk.places.of_rewards("svg", **chosen.parameters),
            "png": desk.places.of_rewards("png", **chosen.parameters),
        },
    )


def reward_members_page(desk: Desk, asked: Asked) -> Page:
    """The rollouts behind one of the numbers.

    Raises:
        ConfigurationError: a parameter is wrong.
        RecordNotFound: there is no such number.
    """
    chosen = slice_of(desk, asked)
    what = Behind(asked.choice("what", tuple(Behind), Behind.MOVED))
    of = tuple(name for key in ("of", "beside") if (name := asked.name(key)) is not None)
    answer = _examined(desk, chosen, 1.0)
    if answer.value is None or not indexed(desk):
        return waiting(desk, "reading the rewards", tab="rewards")
    members = answer.value.behind.get((what, *of))
    if members is None:
        raise RecordNotFound(f"there is no number {what} of {' and '.join(of) or 'all'} here.")
    return members_page(
        desk,
        members,
        title=_MEANING[what].format(*(one_line(name, 60) for name in of)),
        note=chosen.named(desk.run),
        where="of which this is so",
        older=not answer.current,
        tab="rewards",
        above=Crumb("rewards", url=desk.places.of_rewards("", **chosen.parameters)),
        command=f"rlvr rewards {chosen.arguments(desk.argument)}",
    )


_MEANING = {
    Behind.MOVED: "the advantage is not 0",
    Behind.UNSCORED: "{} was not scored",
    Behind.LACKING: "{} has no value",
    Behind.VARIES: "{} varies in the group",
    Behind.DECIDES: "{} decides the advantage",
    Behind.FOLLOWS: "the advantage has the sign of {}",
    Behind.FLIPS: "without {} the advantage would have the other sign",
    Behind.VANISHES: "without {} there would be no advantage",
    Behind.AGREES: "the advantage has the sign of the outcome {}",
    Behind.ELSEWHERE: "the outcome {} is the same for the whole group",
    Behind.OPPOSED: "{} and {} pull apart",
}


def rewards_picture(desk: Desk, asked: Asked) -> Picture | None:
    """The page's plots as one picture; None while they are awaited."""
    chosen = slice_of(desk, asked)
    found = _examined(desk, chosen, 20.0).value
    return None if found is None else reward_picture(found.use, title=chosen.named(desk.run))


def _examined(desk: Desk, chosen: Slice, patience_s: float) -> Answer[RewardsExamined]:
    return desk.whole(f"rewards {chosen}", whole_run.rewards, chosen.filters, patience_s=patience_s)


def _component(desk: Desk, chosen: Slice, one: ComponentUse) -> dict[str, Any]:
    places, name = desk.places, component(one.name)
    scored = f"{chosen.condition} and {finite(name)}"
    negative = one.weight is not None and one.weight < 0
    best = one.low if negative else one.high
    edge, slack = ("<=", FLAT_SPREAD) if negative else (">=", -FLAT_SPREAD)
    means = one.mean_by_step
    single = one.low == one.high
    varies = _behind(desk, chosen, Behind.VARIES, one.name) if one.varied_last is not None else ""
    return {
        "use": one,
        "lacking": one.unscored + one.not_finite,
        "ends": [
            (number(value, 2), places.of_rollouts(where=f"{scored} and step = {step}"))
            for step, value in (means[0], means[-1])
        ]
        if means
        else [],
        "best": "one value" if single else share(one.at_best.value) if one.at_best.trials else "",
        "varying": share(one.varying.value) if one.varying.trials else "",
        "scored_url": places.of_rollouts(where=scored),
        "best_url": ""
        if best is None
        else places.of_rollouts(where=f"{scored} and {name} {edge} {best + slack!r}"),
        "lacking_url": _behind(desk, chosen, Behind.LACKING, one.name),
        "varied_url": varies,
    }


def _behind(desk: Desk, chosen: Slice, what: Behind, *of: str) -> str:
    """The URL of the rollouts behind a number."""
    beside = of[1] if len(of) > 1 else None
    return desk.places.of_members(
        "rewards", what=what.value, of=of[0] if of else None, beside=beside, **chosen.parameters
    )


def _linked(desk: Desk, chosen: Slice, value: Share, what: Behind, *of: str) -> tuple[str, str]:
    """A share with the URL of its rollouts; without one where there are none."""
    if not value.trials:
        return "", ""
    return share(value.value), _behind(desk, chosen, what, *of) if value.hits else ""


def _decisions(
    desk: Desk, chosen: Slice, shown: Sequence[ComponentUse]
) -> Iterator[dict[str, Any]]:
    for one in shown:
        part = one.decisions
        if part is None:
            continue
        yield {
            "name": one.name,
            "interval": bounds(part.decides),
            **{
                what.value: _linked(desk, chosen, value, what, one.name)
                for what, value in (
                    (Behind.DECIDES, part.decides),
                    (Behind.FOLLOWS, part.follows),
                    (Behind.FLIPS, part.flips),
                    (Behind.VANISHES, part.vanishes),
                )
            },
        }


def _pairs(desk: Desk, chosen: Slice, use: RewardUse) -> Iterator[dict[str, Any]]:
    apart = conflicts(use)
    known = [(pair, pair.within) for pair in use.pairs if pair.within is not None]
    for pair, within in sorted(known, key=lambda one: one[1].value):
        yield {
            "first": pair.first,
            "second": pair.second,
            "value": f"{within.value:+.2f}",
            "interval": f"{within.low:+.2f} to {within.high:+.2f}",
            "opposed": _linked(desk, chosen, pair.opposed, Behind.OPPOSED, pair.first, pair.second),
            "groups": within.groups,
            "apart": pair in apart,
        }


def _matrix(use: RewardUse, names: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The correlations within groups, each with how strong it is, from -4 to 4."""
    return [
        (name, [("", "") if v is None else (f"{v:+.2f}", f"c{round(v * 4):+d}") for v in row])
        for name, row in zip(names, correlations(use, names), strict=True)
    ]


def _outcome(desk: Desk, chosen: Slice, use: RewardUse) -> list[tuple[str, str | Linked]]:
    outcome = use.outcome
    if outcome is None:
        return []
    within = f"{outcome.within.value:+.2f} within groups" if outcome.within else ""
    facts: list[tuple[str, str | Linked]] = [
        ("outcome", f"{outcome.name}, {outcome_is(declared=outcome.declared)}"),
        ("correlation", within),
    ]
    for name, value, what in (
        ("same sign", outcome.agrees, Behind.AGREES),
        ("elsewhere", outcome.elsewhere, Behind.ELSEWHERE),
    ):
        text, url = _linked(desk, chosen, value, what, outcome.name)
        if text:
            said = f"{text} of the advantages ({bounds(value)})"
            facts.append((name, Linked(text=said, url=url)))
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
