"""`rlvr parity A B`: why one run scores what the other does not."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rlvr.cli.opening import announce, open_named
from rlvr.cli.output import show, show_json
from rlvr.cli.selection import Where
from rlvr.errors import ConfigurationError

if TYPE_CHECKING:
    from rlvr.parity import Selection

_Mode = Literal["train", "eval"]


def parity(
    a: Annotated[str, typer.Argument(metavar="A", help="Folder or id of a run.")],
    b: Annotated[
        str | None,
        typer.Argument(metavar="B", help="Another run; without it, A's own evaluations."),
    ] = None,
    *,
    mode_a: Annotated[_Mode | None, typer.Option(help="Rollouts of A to compare.")] = None,
    mode_b: Annotated[_Mode | None, typer.Option(help="Rollouts of B to compare.")] = None,
    steps_a: Annotated[
        str | None, typer.Option(metavar="FIRST:LAST", help="Steps of A, both included.")
    ] = None,
    steps_b: Annotated[
        str | None, typer.Option(metavar="FIRST:LAST", help="Steps of B, both included.")
    ] = None,
    where: Where = None,
    component: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare this component, or reward.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say why two recorded runs score differently, such as a training and an evaluation.

    The gap between their outcomes is taken apart into lines that add up to it: scoring, component
    weights, examples, and what became of the rollouts. Every difference follows, by whether it
    explains the gap, may, or can't; then what is unknown, and what would tell.

    \b
    Example:
      rlvr parity outputs/train outputs/eval              a training and an evaluation of it
      rlvr parity outputs/train                           its rollouts and its own evaluations
      rlvr parity outputs/one outputs/two --steps-a 0:20  two trainings, some steps

    In JSON, NaN and the infinities are strings. Exit codes: 0 compared, and no measured cause
    explains a gap; 1 one does; 2 no such run or rollouts, or wrong usage.
    """
    from rlvr.parity import compare_runs

    first = open_named(a)
    second = None if b is None else open_named(b)
    for opened in filter(None, (first, second)):
        announce(opened)
    other = second or first
    found = compare_runs(
        first.run,
        None if second is None else second.run,
        select_a=_selection("--steps-a", mode_a, steps_a, where),
        select_b=_selection("--steps-b", mode_b, steps_b, where),
        component=component,
        called=(first.argument, other.argument),
    )
    if as_json:
        from rlvr.views.parity import parity_values

        show_json("parity", **parity_values(found))
    else:
        from rlvr.views.terminal.parity import parity_view

        show(parity_view(found))
    if found.explained:
        raise typer.Exit(1)


def _selection(
    option: str, mode: _Mode | None, steps: str | None, where: str | None
) -> "Selection":
    from rlvr.parity import Selection
    from rlvr.record import Mode

    return Selection(
        mode=None if mode is None else Mode(mode),
        steps=None if steps is None else _bounds(option, steps),
        where=where,
    )


def _bounds(option: str, steps: str) -> tuple[int, int]:
    """The bounds of "FIRST:LAST"; of "STEP", that step alone."""
    first, colon, last = steps.partition(":")
    if not first.isdecimal() or (colon and not last.isdecimal()):
        raise ConfigurationError(f"{option} {steps!r} is no range of steps; write {option} 10:20.")
    low, high = int(first), int(last if colon else first)
    if low > high:
        raise ConfigurationError(f"{option} {steps!r} ends before it begins; write {high}:{low}.")
    return low, high
