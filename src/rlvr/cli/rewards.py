"""`rlvr rewards`: what each component of the reward does."""

from typing import Annotated

import typer

from rlvr.cli.asking import ask
from rlvr.cli.output import say, show, show_bounded_json
from rlvr.cli.plotting import PlotFile, check_plot, write_plot
from rlvr.cli.selection import Where
from rlvr.record import Mode


def rewards(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name."),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Take a bundled run: upstream, or repaired.")
    ] = False,
    mode: Annotated[
        Mode | None, typer.Option(help="Training or evaluation; by default training, if any.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only steps A to B, both included; either may lack."),
    ] = None,
    where: Where = None,
    plot: PlotFile = None,
    full: Annotated[
        bool, typer.Option("--full", help="In JSON, every step of a long run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what each component of the reward does, and which of them decide the advantages.

    Of each component: mean, spread inside groups (of one prompt), how many groups it varies in,
    how often it is at its best, how often its scorer gave nothing. Then which component the sign of
    each advantage follows, what it would be without it, and which components pull apart.

    \b
    Example:
      rlvr rewards outputs/demo
      rlvr rewards outputs/demo --steps 100: --plot rewards.svg
      rlvr rewards outputs/demo --where "turns > 2"     of these rollouts alone
      rlvr rewards --sample repaired --json

    In JSON, NaN and the infinities are strings, and `left_out` names what was cut. Exit codes: 0
    shown; 1 there is no rollout with a component; 2 no such run, or wrong usage.
    """
    check_plot(plot)
    asked = ask(run, sample=sample, mode=mode, steps=steps, where=where)
    from rlvr.questions.reading import read_rewards

    found, _ = read_rewards(asked.opened.run, asked.filters)
    if as_json:
        from rlvr.views.rewards import reward_values

        show_bounded_json("rewards", full=full, **asked.values, **reward_values(found))
    else:
        from rlvr.views.terminal.rewards import rewards_view

        show(rewards_view(found, title=asked.named, run=asked.opened.argument))
    if plot is not None:
        from rlvr.views.rewards import reward_picture

        write_plot(plot, reward_picture(found, title=asked.named))
    for damaged in asked.opened.run.damaged:
        say(f"rlvr: left out: {damaged}")
    if not found.components:
        raise typer.Exit(1)
