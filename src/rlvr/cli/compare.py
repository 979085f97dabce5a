"""`rlvr compare`: many runs beside each other, by any setting, seeds as replicates."""

from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.output import say, show, show_bounded_json
from rlvr.cli.plotting import PlotFile, check_plot, write_plot
from rlvr.cli.selection import chosen_steps
from rlvr.record import Mode

if TYPE_CHECKING:
    from rlvr.analysis.replicates import Wanted


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN|DIR...", help="Runs, and folders with runs beneath them."),
    ] = None,
    *,
    sample: Annotated[bool, typer.Option("--sample", help="Take the two bundled runs.")] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING",
            help="Group by it; may be repeated. Without: by all settings that differ.",
        ),
    ] = None,
    component: Annotated[
        str | None,
        typer.Option(metavar="NAME", help='By this component, or "reward"; else by the outcome.'),
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="Training or evaluation; by default training, if any.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            metavar="K", min=1, help="Steps that count as the last; else a quarter, at most 10."
        ),
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option(metavar="X", help="Count the steps to X; else to halfway up."),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only steps A to B, both included; either may lack."),
    ] = None,
    all_steps: Annotated[
        bool, typer.Option("--all-steps", help="Follow each run to its own end.")
    ] = False,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Also diagnose each run, which takes a while.")
    ] = False,
    plot: PlotFile = None,
    full: Annotated[bool, typer.Option("--full", help="In JSON, cut nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare many runs by what they were set to, with the runs of other seeds as replicates.

    Runs that differ in nothing but seed, names and places are one group. Of each group: mean and
    95% interval over its runs, and the differences between groups. Two runs that should agree are
    a case for `rlvr parity`.

    \b
    Example:
      rlvr compare outputs/sweep
      rlvr compare outputs/sweep --by learning_rate --by beta --plot sweep.svg
      rlvr compare runs/a runs/b runs/c --last 20 --json

    Exit codes: 0 compared; 2 no such run or setting, nothing to compare, or wrong usage.
    """
    from rlvr.cli.comparing import compare_named

    check_plot(plot)
    wanted = _wanted(by=by, last=last, reach=reach, steps=steps, all_steps=all_steps)
    found = compare_named(
        runs or [], wanted, sample=sample, component=component, mode=mode, diagnose=diagnose
    )
    for remark in found.remarks:
        say(f"rlvr: {remark}")
    if as_json:
        from rlvr.views.compare import comparison_values

        values = comparison_values(found.comparison, found.measure, passes=found.passes)
        show_bounded_json(
            "comparison", full=full, mode=found.mode.value, remarks=list(found.remarks), **values
        )
    else:
        from rlvr.views.terminal.compare import compared_view

        show(compared_view(found.comparison, found.measure, passes=found.passes))
    if plot is not None:
        from rlvr.views.compare import comparison_picture

        write_plot(plot, comparison_picture(found.comparison, found.measure, passes=found.passes))


def _wanted(
    *,
    by: list[str] | None,
    last: int | None,
    reach: float | None,
    steps: str | None,
    all_steps: bool,
) -> "Wanted":
    from rlvr.analysis.replicates import Wanted

    chosen = chosen_steps(None, steps)
    return Wanted(
        by=tuple(by or ()),
        window=last,
        threshold=reach,
        all_steps=all_steps,
        first=chosen.start if isinstance(chosen, range) else 0,
        last=chosen.stop - 1 if isinstance(chosen, range) else None,
    )
