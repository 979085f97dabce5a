"""`rlvr list`: the runs beneath a folder, sorted and filtered by their settings and results."""

from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.output import say, show, show_json
from rlvr.cli.paging import Page

if TYPE_CHECKING:
    from rlvr.cli.listed import ListedRun


def list_runs(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Where to look, with everything beneath it.")
    ] = ".",
    *,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="EXPRESSION",
            help='Only runs that it holds for, such as "learning_rate > 1e-5 and gain < 0.1".',
        ),
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="NAME", help="By a result or setting, the highest last.")
    ] = "started",
    reverse: Annotated[
        bool, typer.Option("--reverse", help="The lowest last, and the newest first.")
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="A table of these, such as last_reward,learning_rate."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most so many, the last.")] = 50,
    offset: Annotated[
        int, typer.Option(metavar="N", min=0, help="Leave the N last out, to see those before.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the recorded runs beneath a folder, newest last.

    Names in --where, --sort and --columns: id, name, place, kind (training or evaluation), state,
    lost, started, attempts, steps, rollouts, size (bytes), first_reward, last_reward (or reward),
    gain; and every setting, such as model, config.learning_rate (or learning_rate),
    sampling.temperature, packages.torch. docs/runs.md has more.

    \b
    Example:
      rlvr list
      rlvr list outputs --where "config.learning_rate > 1e-5 and state = 'finished'" --sort gain
      rlvr list outputs --columns last_reward,learning_rate,seed --json

    DIR may be a URL such as s3://bucket/runs; what is listed of it is fetched (docs/remote.md).
    Rewards are the means of the first and of the last step. Exit codes: 0 listed; 1 there is no
    run, or none that fits; 2 no such folder or name, or wrong usage.
    """
    from rlvr.cli.listed import chosen, full_names, listed_runs, ordered
    from rlvr.remote import local_path

    place = local_path(folder)
    if place is not None and not place.is_dir():
        raise typer.BadParameter(f"{folder} is no folder.", param_hint="DIR")
    every = listed_runs(folder)
    fitting = every if where is None else chosen(every, where)
    fitting = ordered(fitting, sort, reverse=reverse)
    asked = tuple(name.strip() for name in columns.split(",")) if columns else ()
    names = full_names(every, asked) if every else ()
    page = Page(total=len(fitting), offset=offset, limit=limit)
    end = max(page.total - offset, 0)
    shown = fitting[max(end - limit, 0) : end]
    if as_json:
        lines = [run.line(names) for run in shown]
        show_json("runs", folder=folder if place is None else str(place), **page.values, runs=lines)
    elif shown:
        _show(shown, names)
    if page.next_offset is not None and not as_json:
        say(
            f"rlvr: {len(shown)} of {page.total:,} runs; --offset {page.next_offset} shows those"
            " before."
        )
    if not shown:
        say(_nothing(folder, len(every)))
        raise typer.Exit(1)


def _show(runs: "list[ListedRun]", names: tuple[str, ...]) -> None:
    from rlvr.views.terminal.listing import RunList, RunTable

    if names:
        rows = [[run.value(name) for name in names] for run in runs]
        show(RunTable([run.folder.name for run in runs], names, rows))
    else:
        show(RunList([run.line() for run in runs]))
    for run in runs:
        if run.problem:
            say(f"rlvr: {run.folder.name}: {run.problem}")


def _nothing(folder: str, runs: int) -> str:
    if runs:
        return f"rlvr: none of {runs:,} runs beneath {folder} fits, or --offset leaves out all."
    return f"rlvr: no recorded run beneath {folder}; `rlvr show --sample` shows one of ours."
