"""`rlvr rescore`: does the scorer still say what a run was trained on, in every thread?"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvr.cli.counting import counting
from rlvr.cli.opening import Opened, open_named, shown_path, writable
from rlvr.cli.output import say, show, show_json
from rlvr.cli.selection import Where, chosen_steps

if TYPE_CHECKING:
    from rlvr.record.rescore import RescoreReport, ScoringThread


def rescore(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder or id of a run.")],
    *,
    environment: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE",
            help="Module with the environment's load_environment; by default what the run names,"
            " with the options that it was loaded with.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An option of its loader, as JSON or text."),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(metavar="MODE", help="train or eval; by default train, if there is any."),
    ] = None,
    step: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Only rollouts of this step.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only of steps A to B, both included; either may lack."),
    ] = None,
    where: Where = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Score N at most, spread evenly over the steps."),
    ] = None,
    threads: Annotated[
        str, typer.Option(metavar="NAMES", help="Where to score: main, worker, or both.")
    ] = "main,worker",
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, help="What scoring one rollout may take."),
    ] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Score, and store nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Score recorded completions anew, on the main thread and in a worker, and compare.

    Shows where the two disagree with each other, or with what training saw, and adds what it finds
    to the run, which may still be training. Needs the train extra.

    \b
    Example:
      rlvr rescore outputs/math --limit 500
      rlvr rescore outputs/math --steps 100: --threads main
      rlvr rescore outputs/mine --environment my_env --option rewards=strict

    Exit codes: 0 all agree; 1 some disagree; 2 nothing could be compared, no scorer, or wrong
    usage; 130 interrupted, what was scored is kept.
    """
    from rlvr.record import Mode
    from rlvr.rescoring import rescore as score_anew

    opened = open_named(run)
    recorded = writable(opened, "rescore")
    chosen = chosen_steps(step, steps)
    asked = _threads(threads)
    given = dict(map(_option, option or ()))
    if mode is not None and mode not in list(Mode):
        raise typer.BadParameter(f"--mode is {mode!r}; use {' or '.join(Mode)}.")

    try:
        with counting("scoring", "scored") as on_progress:
            report = score_anew(
                recorded,
                environment=environment,
                options=given,
                mode=None if mode is None else Mode(mode),
                step=chosen,
                where=where,
                limit=limit,
                threads=asked,
                timeout_s=timeout,
                keep=not dry_run,
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        say("rlvr: interrupted; what was scored is kept. Scoring again does it anew.")
        raise typer.Exit(130) from None
    _print(opened, report, as_json=as_json)
    if not report.compared:
        raise typer.Exit(2)
    if report.disagrees:
        raise typer.Exit(1)


def _print(opened: Opened, report: "RescoreReport", *, as_json: bool) -> None:
    from rlvr.views.terminal.rescore import rescore_view

    if as_json:
        commands = [f"rlvr show {opened.argument} {example.id}" for example in report.examples]
        place = shown_path(opened.run.path)
        show_json("rescore", report=report, place=place, commands=commands)
    else:
        show(rescore_view(report, run=opened.argument))


def _threads(named: str) -> "tuple[ScoringThread, ...]":
    from rlvr.record.rescore import ScoringThread

    names = [name.strip() for name in named.split(",") if name.strip()]
    if not names or not set(names) <= set(ScoringThread):
        raise typer.BadParameter(f"--threads is {named!r}; use main, worker, or main,worker.")
    return tuple(thread for thread in ScoringThread if thread in names)


def _option(text: str) -> tuple[str, Any]:
    """Name and value of NAME=VALUE: what is no JSON is text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise typer.BadParameter(f"--option is {text!r}; write --option NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
