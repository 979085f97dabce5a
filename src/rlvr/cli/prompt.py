"""`rlvr prompt`: one example over the steps of a run, or the list of examples."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rlvr.cli.diagnose import title_of
from rlvr.cli.opening import Opened, announce, open_named, open_sample
from rlvr.cli.output import say, show, show_bounded_json, show_json
from rlvr.cli.paging import Page
from rlvr.cli.plotting import PlotFile, check_plot, write_plot
from rlvr.cli.selection import Where, chosen_steps
from rlvr.questions.histories import (
    Example,
    History,
    Table,
    named_example,
    question_of,
    read_example,
    read_table,
    tallies,
)
from rlvr.record import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from rlvr.analysis.histories import Course

_Change = Literal["learnt", "forgotten", "steady", "once", "always", "never", "unscored"]


def prompt(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name.")
    ],
    example: Annotated[
        str | None,
        typer.Argument(
            metavar="EXAMPLE", help="Id of an example, of a rollout of it, or its beginning."
        ),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Of a bundled run: upstream, repaired.")
    ] = False,
    component: Annotated[
        str | None, typer.Option(metavar="NAME", help="Solved by this component, or reward.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="X", help="Solved from a value of X on, not the full.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="A:B", help="Of these steps alone, both included.")
    ] = None,
    where: Where = None,
    mode: Annotated[Mode | None, typer.Option(help="List training or evaluation.")] = None,
    change: Annotated[_Change | None, typer.Option(help="List these examples alone.")] = None,
    sort: Annotated[
        Literal["visits", "change"],
        typer.Option(help="List the most visited first, or those that changed most."),
    ] = "visits",
    limit: Annotated[int, typer.Option(min=1, help="Examples or visits that are shown.")] = 40,
    offset: Annotated[
        int, typer.Option(metavar="N", min=0, help="Leave the first N of them out.")
    ] = 0,
    plot: PlotFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show one example over the steps of a run: when it was learnt, and when forgotten.

    Every visit with rewards, solved rollouts, calls, lengths and stop reasons, training and
    evaluation apart; the first answers beside the last. Without EXAMPLE: all examples.

    \b
    Example:
      rlvr prompt outputs/demo                              the examples
      rlvr prompt outputs/demo --change forgotten           those that are solved less often now
      rlvr prompt outputs/demo 2hop__477549_984406          one of them
      rlvr prompt outputs/demo train-s000010-b000010-a00-r000-00003   that of a rollout
      rlvr prompt outputs/demo --where "turns > 2"          of these rollouts alone
      rlvr prompt outputs/demo 2hop__477549 --plot example.svg

    In JSON, NaN and the infinities are strings. Exit codes: 0 shown; 1 nothing matches; 2 no such
    run or component, or wrong usage.
    """
    from rlvr.questions.contrasting import mode_of

    check_plot(plot)
    opened = open_sample(run) if sample else open_named(run, foreign=True)
    announce(opened)
    table = read_table(
        opened.run,
        component=component,
        threshold=threshold,
        steps=chosen_steps(None, steps),
        where=where,
    )
    if example is not None:
        found = read_example(table, named_example(table, example))
        page = Page(total=0, offset=offset, limit=limit)
        _one(opened, found, page, where=where, as_json=as_json)
        if plot is not None:
            _plot_one(plot, found)
        return
    chosen = mode_of(opened.run, mode)
    courses = [c for c in table.courses(chosen) if change in (None, c.change.value)]
    listed = _sorted(courses, sort)
    page = Page(total=len(listed), offset=offset, limit=limit)
    if as_json:
        _list_json(table, chosen, listed, page)
    elif listed[offset:]:
        show(_list(opened, table, chosen, listed, page))
    if plot is not None and listed[offset:]:
        _plot_list(plot, opened, listed[offset : offset + limit], chosen)
    if not listed[offset:]:
        say(f"rlvr: no {chosen} example of {opened.run.id} matches.")
        raise typer.Exit(1)


def _sorted(courses: "list[Course]", sort: str) -> "list[Course]":
    if sort == "visits":
        return sorted(courses, key=lambda course: (-len(course.steps), course.example))
    return sorted(courses, key=_changed)


def _changed(course: "Course") -> tuple[bool, float, str]:
    apart = course.difference
    known = apart == apart  # noqa: PLR0124 - NaN
    return not known, -abs(apart) if known else 0.0, course.example


def _one(opened: Opened, found: Example, page: Page, *, where: str | None, as_json: bool) -> None:
    from dataclasses import replace

    if as_json:
        show_bounded_json(
            "prompt",
            full=False,
            run=opened.run.id,
            where=where,
            example=found.name,
            question=found.question,
            answer=found.answer,
            measure=found.measure,
            solved_from=found.solved_from,
            histories=[
                _values(history, replace(page, total=len(history.visits)))
                for history in found.histories
            ],
        )
        return
    show(example_page(opened, found, page))


def example_page(opened: Opened, found: Example, page: Page) -> "RenderableType":
    """What the terminal shows of an example: the visits of the page, in each mode."""
    from dataclasses import replace

    from rlvr.views.terminal.prompt import prompt_view, solved_text

    return prompt_view(
        found.name,
        [_shown(history, replace(page, total=len(history.visits))) for history in found.histories],
        run=opened.argument,
        solved_by=solved_text(found.measure, found.solved_from),
        question=found.question,
        answer=found.answer,
    )


def _values(history: History, page: Page) -> dict[str, Any]:
    return {
        "mode": history.mode,
        **_course(history.course),
        "outputs": history.outputs,
        **page.values,
        "visits": history.visits[page.offset : page.offset + page.limit],
        "first_answers": history.first_answers,
        "last_answers": history.last_answers,
    }


def _course(course: "Course") -> dict[str, Any]:
    """What JSON says of a course, without its shares."""
    return {
        "rollouts": course.rollouts,
        "change": course.change,
        "early": course.early,
        "late": course.late,
        "first_solved": course.first_solved,
        "last_solved": course.last_solved,
        "lost_at": course.lost_at,
    }


def _shown(history: History, page: Page) -> Any:
    from rlvr.views.terminal.prompt import ShownAnswer, ShownHistory

    first, last = (
        [ShownAnswer(text=a.text, rollouts=a.rollouts, solved=a.solved, id=a.id) for a in answers]
        for answers in (history.first_answers, history.last_answers)
    )
    return ShownHistory(
        mode=history.mode,
        course=history.course,
        visits=history.visits[page.offset : page.offset + page.limit],
        total=page.total,
        outputs=history.outputs,
        first=first,
        last=last,
    )


def _list(
    opened: Opened, table: Table, mode: Mode, listed: "Sequence[Course]", page: Page
) -> "RenderableType":
    from rlvr.views.terminal.prompt import PromptLine, PromptList, solved_text

    courses = table.courses(mode)
    return PromptList(
        title=title_of(opened, table.where),
        run=opened.argument,
        mode=mode,
        solved_by=solved_text(table.measure, table.solved_from),
        lines=[
            PromptLine(course=course, question=question_of(table, mode, course.example))
            for course in listed[page.offset : page.offset + page.limit]
        ],
        counts=tallies(courses),
        total=page.total,
        offset=page.offset,
        examples=len(courses),
    )


def _list_json(table: Table, mode: Mode, listed: "Sequence[Course]", page: Page) -> None:
    lines = [
        {
            "example": course.example,
            "question": question_of(table, mode, course.example),
            "visits": len(course.steps),
            "steps": course.steps,
            "shares": course.shares,
            **_course(course),
        }
        for course in listed[page.offset : page.offset + page.limit]
    ]
    show_json(
        "prompts",
        run=table.run.id,
        mode=mode,
        where=table.where,
        measure=table.measure,
        solved_from=table.solved_from,
        counts=tallies(table.courses(mode)),
        **page.values,
        prompts=lines,
    )


def _plot_one(path: Any, found: Example) -> None:
    from rlvr.views.prompt import prompt_picture

    visits = {history.mode.value: history.visits for history in found.histories}
    note = "Bands are intervals of 95 % over the rollouts of a visit."
    write_plot(path, prompt_picture(found.name, visits, note=note))


def _plot_list(path: Any, opened: Opened, courses: "Sequence[Course]", mode: Mode) -> None:
    from rlvr.views.prompt import courses_picture

    title = f"{opened.run.id}: {mode} examples"
    note = "The part of a visit's rollouts that solves the example."
    write_plot(path, courses_picture(title, courses, note=note))
