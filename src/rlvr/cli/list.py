"""`rlvr list`: the runs beneath a folder."""

from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.opening import shown_place
from rlvr.cli.output import say, show, show_json
from rlvr.cli.paging import Page

if TYPE_CHECKING:
    from rlvr.runs import Run
    from rlvr.views.terminal.listing import RunLine


def list_runs(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Where to look, with everything beneath it.")
    ] = ".",
    *,
    limit: Annotated[int, typer.Option(min=1, help="List at most so many, the newest.")] = 50,
    offset: Annotated[
        int, typer.Option(metavar="N", min=0, help="Leave the N newest out, to see older ones.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the recorded runs beneath a folder, newest last.

    \b
    Example:
      rlvr list
      rlvr list outputs --json

    DIR may be a URL such as s3://bucket/runs; what is listed of it is fetched (docs/remote.md).
    Rewards are the means of the first and of the last step. Exit codes: 0 listed; 1 there is no
    run; 2 no such folder.
    """
    from rlvr.remote import local_path
    from rlvr.runs import find_runs
    from rlvr.views.terminal.listing import RunList

    place = local_path(folder)
    if place is not None and not place.is_dir():
        raise typer.BadParameter(f"{folder} is no folder.", param_hint="DIR")
    runs = find_runs(folder)
    page = Page(total=len(runs), offset=offset, limit=limit)
    end = max(page.total - offset, 0)
    lines = [run_line(run) for run in runs[max(end - limit, 0) : end]]
    if as_json:
        show_json("runs", folder=folder if place is None else str(place), **page.values, runs=lines)
    elif lines:
        show(RunList(lines))
    if page.next_offset is not None and not as_json:
        say(f"rlvr: {len(lines)} of {page.total:,} runs; --offset {page.next_offset} shows older.")
    if not lines:
        say(f"rlvr: no recorded run beneath {folder}; `rlvr show --sample` shows one of ours.")
        raise typer.Exit(1)


def run_line(run: "Run") -> "RunLine":
    """What the list says of a run."""
    from rlvr.analysis import mean_rewards
    from rlvr.views.terminal.listing import RunLine
    from rlvr.views.terminal.status import short_state

    info = run.info
    table = run.to_arrow(["mode", "step", "reward"])
    rewards = mean_rewards(table)
    repairs = info.repairs if info else {}
    return RunLine(
        id=run.id,
        place=shown_place(run.place),
        steps=len(rewards),
        trajectories=table.num_rows,
        size_bytes=run.size_bytes,
        state=short_state(run.status()),
        name=info.name if info else None,
        model=info.model if info else None,
        trainer=info.trainer if info else None,
        started_at=info.created_at if info else None,
        first_reward=rewards[0][1] if rewards else None,
        last_reward=rewards[-1][1] if rewards else None,
        repairs_on=sum(repairs.values()) if repairs else None,
        repairs_off=len(repairs) - sum(repairs.values()) if repairs else None,
    )
