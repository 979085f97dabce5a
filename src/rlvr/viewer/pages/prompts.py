"""`/r/RUN/p` and `/r/RUN/p/EXAMPLE`: is this prompt being learned?"""

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rlvr.analysis.histories import Change, Course, Visit
from rlvr.errors import RecordNotFound
from rlvr.questions.histories import (
    Example,
    History,
    read_example,
    read_table,
    tallies,
)
from rlvr.record import Mode
from rlvr.viewer import whole_run
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.indexing import indexed
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.whole_run import Examples
from rlvr.views.terminal.prompt import share_line, solved_text
from rlvr.views.terminal.text import one_line, share
from rlvr.views.web import Crumb, Page
from rlvr.views.web.charts import Series, chart

_PAGE = 50
_VISITS = 200
_SORTS = ("visits", "change", "name")


def prompts_page(desk: Desk, asked: Asked) -> Page:
    """The examples of a run: how often each was visited, and whether it is solved by now.

    Raises:
        ConfigurationError: `mode`, `change` or `sort` is none of their words.
    """
    known = _all(desk)
    if known is None:
        return waiting(desk, "following the examples", tab="prompts")
    modes = [mode for mode in Mode if known.courses[mode]]
    mode = asked.mode("mode") or (modes[0] if modes else Mode.TRAIN)
    every: Sequence[Course] = known.courses[mode]
    change = asked.choice("change", ("", *(one.value for one in Change)), "")
    sort = asked.choice("sort", _SORTS, "visits")
    text = asked.text("q")
    listed = [
        course
        for course in every
        if change in ("", course.change.value)
        and (text is None or text.lower() in course.example.lower())
    ]
    listed.sort(key=_ORDERS[sort])
    first = asked.number("from", 0)
    given = {"mode": mode.value, "change": change or None, "sort": sort, "q": text}
    return Page(
        template="prompts.html",
        title="prompts",
        places=desk.places,
        tab="prompts",
        crumbs=(
            *desk.crumbs,
            Crumb("prompts"),
        ),
        command=_list_command(desk, mode, change, sort),
        live=True,
        values={
            "solved_by": _solved_by(known),
            "mode": mode.value,
            "modes": [one.value for one in modes],
            "change": change,
            "changes": tallies(every),
            "sort": sort,
            "sorts": _SORTS,
            "q": text,
            "total": len(listed),
            "examples": len(every),
            "lines": [_line(desk, mode, course) for course in listed[first : first + _PAGE]],
            "before": _paged(desk, given, first - _PAGE) if first else "",
            "after": _paged(desk, given, first + _PAGE) if first + _PAGE < len(listed) else "",
        },
    )


def prompt_page(desk: Desk, asked: Asked) -> Page:
    """One example over the steps, training and evaluation apart.

    Raises:
        RecordNotFound: no rollout is of such an example; names what is alike.
    """
    name = asked.part("example")
    known = _all(desk)
    if known is None or not indexed(desk):
        return waiting(desk, "following the examples", tab="prompts")
    found = desk.answers.of(
        f"example {name}", desk.version(), lambda: _example(desk, known, name)
    ).value
    if found is None:
        return waiting(desk, "following the example", tab="prompts")
    return Page(
        template="prompt.html",
        title=f"example {one_line(name, 60)}",
        places=desk.places,
        tab="prompts",
        crumbs=(
            *desk.crumbs,
            Crumb("prompts", url=desk.places.of_prompts()),
            Crumb(name),
        ),
        command=f"rlvr prompt {desk.argument} {shlex.quote(name)}",
        live=True,
        values={
            "name": name,
            "example": found,
            "solved_by": solved_text(found.measure, found.solved_from),
            "histories": [_history(desk, name, one) for one in found.histories],
            "reward": _reward(desk, found),
            "solved": _solved(desk, found),
            "rollouts": desk.places.of_rollouts(where=_where(name)),
        },
    )


def _all(desk: Desk) -> Examples | None:
    """The courses of all examples by mode; None while they are made for the first time."""
    return desk.whole("examples", whole_run.examples).value


def _example(desk: Desk, known: Examples, name: str) -> Example:
    """The example, judged as all of them are; its rollouts alone are read."""
    try:
        with desk.lock:
            table = read_table(desk.run, component=None, threshold=None, where=_where(name))
    except RecordNotFound:
        table = None
    if known.measure is None or table is None or name not in table.names:
        raise RecordNotFound(
            f"no example {name!r} in {desk.name}; the list of prompts has them all."
        )
    own = replace(table, measure=known.measure, solved_from=known.solved_from)
    return read_example(own, name)


def _solved_by(known: Examples) -> str:
    return "" if known.measure is None else solved_text(known.measure, known.solved_from)


def _changed(course: Course) -> tuple[bool, float, str]:
    apart = course.difference
    return math.isnan(apart), -abs(apart) if math.isfinite(apart) else 0.0, course.example


_ORDERS: dict[str, Any] = {
    "visits": lambda course: (-len(course.steps), course.example),
    "change": _changed,
    "name": lambda course: course.example,
}


def _list_command(desk: Desk, mode: Mode, change: str, sort: str) -> str:
    parts = [f"rlvr prompt {desk.argument} --mode {mode.value}"]
    parts += [f"--change {change}"] if change else []
    parts += [f"--sort {sort}"] if sort != "name" else []
    return " ".join(parts)


def _paged(desk: Desk, given: dict[str, str | None], start: int) -> str:
    return desk.places.of_prompts(**given, **{"from": max(start, 0) or None})


def _line(desk: Desk, mode: Mode, course: Course) -> dict[str, Any]:
    own = f"{_where(course.example)} and mode = '{mode.value}'"
    half = len(course.steps) // 2
    # Visits of one step, in several batches or attempts, are told apart by no expression.
    apart = 0 < half < len(course.steps) and course.steps[half - 1] < course.steps[half]
    early, late = (
        desk.places.of_rollouts(where=f"{own} and step {span}") if apart else ""
        for span in (f"<= {course.steps[half - 1]}", f">= {course.steps[half]}")
    )
    return {
        "of": course,
        "url": desk.places.of_prompt(course.example),
        "rollouts_url": desk.places.of_rollouts(where=own),
        "early": course.early.value if course.early.trials else None,
        "early_url": early,
        "late": course.late.value if course.late.trials else None,
        "late_url": late,
        "shares": share_line(course.shares, width=24),
        "said": "; ".join(share(value) for value in course.shares[-8:]),
    }


def _where(name: str) -> str:
    """The expression that finds the rollouts of an example by its name."""
    for prefix, column in (("prompt:", "prompt_hash"), ("group:", "group")):
        if name.startswith(prefix):
            rest = name.removeprefix(prefix).replace("'", "''")
            return f"example is null and {column} = '{rest}'"
    return "example = '" + name.replace("'", "''") + "'"


def _history(desk: Desk, name: str, history: History) -> dict[str, Any]:
    shown = history.visits[-_VISITS:][::-1]
    names = dict.fromkeys(name for visit in shown for name in visit.components)
    return {
        "of": history,
        "rollouts_url": desk.places.of_rollouts(
            where=f"{_where(name)} and mode = '{history.mode.value}'"
        ),
        "components": list(names),
        "visits": [_visit(desk, history.mode, visit) for visit in shown],
        "further": len(history.visits) - len(shown),
        "answers": [
            {"step": visit.step, "answers": answers}
            for visit, answers in (
                (history.visits[0], history.first_answers),
                (history.visits[-1], history.last_answers),
            )
        ][: 1 if len(history.visits) == 1 else 2],
        "change": _change(history.course),
        "first_solved": history.course.first_solved,
        "lost_at": history.course.lost_at[:8],
    }


def _visit(desk: Desk, mode: Mode, visit: Visit) -> dict[str, Any]:
    return {
        "of": visit,
        "step_url": desk.places.of_step(visit.step, split=mode.value),
        "url": desk.places.of_group(
            visit.group_id, split=mode.value, step=visit.step, attempt=visit.attempt or None
        ),
        "interval": _interval(visit.reward.low, visit.reward.high),
        "solved_interval": _interval(visit.solved_share.low, visit.solved_share.high),
        "stops": ", ".join(
            f"{one_line(reason, 24)} {count}" for reason, count in sorted(visit.stops.items())
        ),
    }


def _interval(low: float, high: float) -> str:
    return f"{low:.2f} to {high:.2f}" if math.isfinite(low) and math.isfinite(high) else "?"


def _change(course: Course) -> str:
    said = course.change.value
    if len(course.steps) > 1 and course.early.trials and course.late.trials:
        said += (
            f": solved {share(course.early.value)} in the first half of the visits,"
            f" {share(course.late.value)} in the later"
        )
    return said


def _reward(desk: Desk, found: Example) -> Any:
    series = [
        Series(
            name=history.mode.value,
            points=[(visit.step, visit.reward.value) for visit in history.visits],
            bounds=[(visit.step, visit.reward.low, visit.reward.high) for visit in history.visits],
        )
        for history in found.histories
    ]
    return chart("mean reward of a visit", series, url=desk.places.of_step)


def _solved(desk: Desk, found: Example) -> Any:
    series = []
    for history in found.histories:
        shares = [(visit.step, visit.solved_share) for visit in history.visits]
        series.append(
            Series(
                name=history.mode.value,
                points=[(step, one.value) for step, one in shares],
                bounds=[(step, one.low, one.high) for step, one in shares],
            )
        )
    return chart("share that solves it", series, url=desk.places.of_step, low=0.0, high=1.0)
