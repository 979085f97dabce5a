"""`/c`: what is different between two runs, or two trajectories?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.analysis import RunSummary
from rlvr.errors import ConfigurationError, RlvrError
from rlvr.parity import Parity, Standing
from rlvr.parity.wording import level, points, span
from rlvr.record import Mode
from rlvr.viewer import whole_run
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.pair import pair_of, trajectory_of
from rlvr.viewer.pages.run import evidence_facts, summary_of
from rlvr.viewer.served_runs import ServedRuns
from rlvr.viewer.setting_rows import setting_sections
from rlvr.views.terminal.text import one_line
from rlvr.views.web import Crumb, Page
from rlvr.views.web.charts import Chart, Series, chart

_NAMES = 500
_COMPONENTS = 12
_VALUE_CHARS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What `a` or `b` names: a run, and a trajectory of it."""

    desk: Desk
    id: str | None


def compare_page(runs: ServedRuns, asked: Asked) -> Page:
    """Two runs: their settings before their scores. Two trajectories: turn by turn.

    Raises:
        RunNotFound, RecordNotFound: one of them is not there.
        ConfigurationError: a run is to be compared with a trajectory.
    """
    a, b = asked.text("a"), asked.text("b")
    if a is None or b is None:
        return _choice(runs, a or b)
    first, second = _named(runs, a), _named(runs, b)
    if first.id is not None and second.id is not None:
        columns = [
            trajectory_of(one.desk, id, label)
            for one, id, label in ((first, first.id, "A"), (second, second.id, "B"))
        ]
        return pair_of(columns, [first.desk, second.desk])
    if first.id is not None or second.id is not None:
        raise ConfigurationError(
            "a run and a trajectory can't be compared; name two runs, or RUN:ID twice."
        )
    return _runs(first.desk, second.desk)


def compared(runs: ServedRuns, asked: Asked) -> tuple[Desk, ...]:
    """The runs whose state decides what the page shows; none where one is still to be chosen.

    Raises:
        RunNotFound: one of them is not there.
    """
    named = [asked.text(name) for name in "ab"]
    return tuple(
        _named(runs, text).desk for text in named if text is not None and None not in named
    )


def _named(runs: ServedRuns, text: str) -> _Named:
    name, colon, id = text.partition(":")
    return _Named(desk=runs.desk(name), id=id if colon else None)


def _choice(runs: ServedRuns, chosen: str | None) -> Page:
    names = runs.names()[::-1]
    return Page(
        template="compare_choice.html",
        title="compare",
        crumbs=(Crumb("runs", url="/"), Crumb("compare")),
        values={"names": names[:_NAMES], "total": len(names), "chosen": chosen},
    )


def _runs(a: Desk, b: Desk) -> Page:
    desks = (a, b)
    summaries = [summary_of(desk) for desk in desks]
    parity = _parity(a, b)
    awaited = parity["awaited"] or any(summary is None for summary in summaries)
    known = [summary for summary in summaries if summary is not None]
    return Page(
        template="compare.html",
        title=f"{a.name} and {b.name}",
        crumbs=(Crumb("runs", url="/"), Crumb(f"{a.name} and {b.name}")),
        command=f"rlvr parity {a.argument} {b.argument}",
        live=True,
        refresh_s=3 if awaited else None,
        values={
            "sides": [_side(desk, label) for desk, label in zip(desks, "AB", strict=True)],
            "swapped": b.places.of_comparison(a.name),
            "same_run": a is b,
            "sections": setting_sections(a.run.info, b.run.info),
            "without": [desk.name for desk in desks if desk.run.info is None],
            "charts": _charts(known) if len(known) == 2 else None,
            "evidence": _evidence(known) if len(known) == 2 else None,
            "parity": parity,
            "also": f"rlvr compare {a.argument} {b.argument}",
        },
    )


def _side(desk: Desk, label: str) -> dict[str, Any]:
    info = desk.run.info
    return {
        "label": label,
        "name": desk.name,
        "url": desk.places.of_run(),
        "places": desk.places,
        "called": info.name if info else None,
        "model": info.model if info else None,
    }


def _charts(summaries: Sequence[RunSummary]) -> dict[str, list[Chart]]:
    """The mean reward in each mode, and each component that both may have."""
    modes = [
        mode.value for mode in Mode if any(mode.value in summary.modes for summary in summaries)
    ]
    rewards = [
        chart(
            f"mean reward, {mode}",
            [
                Series(
                    name=label, points=[(row.step, row.reward_mean) for row in summary.rows(mode)]
                )
                for label, summary in zip("AB", summaries, strict=True)
            ],
        )
        for mode in modes
    ]
    names = dict.fromkeys(name for summary in summaries for name in summary.components)
    mode = modes[0] if modes else ""
    components = [
        chart(
            f"{one_line(name, 60)}, {mode}",
            [
                Series(
                    name=label,
                    points=[(row.step, row.components.get(name)) for row in summary.rows(mode)],
                )
                for label, summary in zip("AB", summaries, strict=True)
            ],
        )
        for name in list(names)[:_COMPONENTS]
    ]
    return {"rewards": rewards, "components": components}


def _evidence(summaries: Sequence[RunSummary]) -> list[tuple[str, str, str]]:
    facts = [evidence_facts(summary.evidence) for summary in summaries]
    return [(name, a, b) for (name, a), (_, b) in zip(*facts, strict=True)]


def _parity(a: Desk, b: Desk) -> dict[str, Any]:
    """What `rlvr parity` says of the two; of one run, its training beside its evaluations."""
    same = a is b
    if same and not all(a.run.steps(mode) for mode in Mode):
        return {"awaited": False, "said": "It is one run, which has nothing to be set beside."}
    try:
        answer = a.whole(f"parity {b.name}", whole_run.parity, (a.argument, b.argument), beside=b)
    except RlvrError as error:
        return {"awaited": False, "said": str(error)}
    if answer.value is None:
        return {"awaited": True, "said": ""}
    return {
        "awaited": False,
        "said": "",
        "older": not answer.current,
        **_told(answer.value, (a, b)),
    }


def _told(found: Parity, desks: Sequence[Desk]) -> dict[str, Any]:
    account = found.account
    places = dict(zip("AB", (desk.places for desk in desks), strict=True))
    return {
        "headline": found.headline,
        "real": account.real,
        "explained": found.explained,
        "measure": account.measure,
        "lines": [
            (one.title, points(one.points.value, percentages=account.percent, unit=False),
             span(one.points, percentages=account.percent), one.proven)
            for one in account.lines
        ],
        "means": [level(one.value, percentages=account.percent) for one in (account.a, account.b)],
        "standings": [
            {
                "standing": standing.value,
                "differences": [
                    {
                        "of": one,
                        "a": _value(one.a),
                        "b": _value(one.b),
                        "examples": [
                            (places[example.side].of_trajectory(example.id), example)
                            for example in one.examples
                        ],
                    }
                    for one in found.differences
                    if one.standing is standing
                ],
            }
            for standing in Standing
        ],
        "unknown": found.unknown,
        "remarks": found.remarks,
    }  # fmt: skip


def _value(value: object) -> str | None:
    if value is None:
        return None
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    return one_line(shown, _VALUE_CHARS)
