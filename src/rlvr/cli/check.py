"""`rlvr check`: whether a recorded run is sound."""

from typing import Annotated

import typer

from rlvr.cli.counting import counting
from rlvr.cli.opening import open_named, open_sample, shown_path
from rlvr.cli.output import show, show_json
from rlvr.cli.selection import chosen_steps
from rlvr.errors import ConfigurationError


def check(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name."),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Take a bundled run: upstream, or repaired.")
    ] = False,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Read scalars alone: no texts, tokens or derived columns."),
    ] = False,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only steps A to B, both included; either may lack."),
    ] = None,
    limit_rows: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Read no further batch after N rollouts."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Verify a run: every file, every row, and what the one says of the other.

    Are ids unique and files readable, groups whole, texts decodable? Do totals, advantages, derived
    columns and evidence follow from what they are computed of? Do the files hold what the processes
    counted? Each question is answered with ok, wrong, or not checked because. Nothing is changed.

    \b
    Example:
      rlvr check outputs/demo
      rlvr check outputs/demo --fast
      rlvr check --sample repaired --json

    Exit codes: 0 nothing is wrong; 1 something is; 2 no such run, one of a newer rlvr, or wrong
    usage.
    """
    from rlvr.checking import Scope, check_run

    if run is None and not sample:
        raise ConfigurationError("name a run, or use --sample; `rlvr list` shows what there is.")
    opened = open_sample(run or "repaired") if sample else open_named(run or "", foreign=True)
    scope = Scope(
        fast=fast,
        steps=chosen_steps(None, steps),
        limit_rows=limit_rows,
        private=not opened.bundled,
    )
    with counting("checking", "checked") as told:
        report = check_run(opened.run, scope, told)
    if as_json:
        show_json(
            "check",
            run=report.run,
            place=shown_path(opened.run.path),
            sound=report.sound,
            rollouts=report.rollouts,
            files=report.files,
            bytes=report.bytes,
            duration_s=report.duration_s,
            checks=report.checks,
            migrations=report.migrations,
        )
    else:
        from rlvr.views.terminal.check import check_view

        show(check_view(report, run=opened.argument))
    if not report.sound:
        raise typer.Exit(1)
