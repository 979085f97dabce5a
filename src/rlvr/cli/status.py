"""`rlvr status`: what was recorded of a run, and what was lost."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.opening import open_named
from rlvr.cli.output import output_console, show, show_json

if TYPE_CHECKING:
    from rlvr.runs import Run, RunStatus


def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder or id of a run.")],
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep looking until no process of the run lives.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.05, help="Seconds between two looks of --watch.")
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; with --watch, the last.")
    ] = False,
) -> None:
    """Say what was recorded of a run and what was lost.

    For each process of each attempt: recorded, queued, dropped, failed, and whether it lives. A
    process that died or never wrote is named, also while others go on or wait for it.

    \b
    Example:
      rlvr status outputs/demo
      rlvr status outputs/demo --watch

    After a kill it says how many trajectories are lost at least. Exit codes: 0 nothing is lost;
    1 something is, or nothing was recorded; 2 no such run.
    """
    from rlvr.views.terminal.status import state_line, status_view

    opened = open_named(run).run
    found = _watched(opened, interval, quiet=as_json) if watch else opened.status()
    if as_json:
        show_json(
            "status",
            status=found,
            state=state_line(found),
            **_totals(found),
            size_bytes=opened.size_bytes,
            pruned=opened.pruning().sentences,
        )
    elif not watch:
        show(status_view(found), *opened.pruning().sentences)
    if found.not_recorded or not found.ranks:
        raise typer.Exit(1)


def _totals(found: "RunStatus") -> dict[str, object]:
    return {
        "recorded": found.recorded,
        "queued": found.queued,
        "dropped": found.dropped,
        "failed": found.failed,
        "not_recorded_at_least": found.not_recorded,
        "dead": [
            {
                "attempt": rank.attempt,
                "rank": rank.rank,
                "pid": rank.pid,
                "host": rank.host,
                "last_write": rank.last_write,
                "silent_s": rank.silent_s,
                "not_recorded_at_least": rank.not_recorded,
            }
            for rank in found.dead
        ],
        "never_wrote": [{"attempt": attempt, "rank": rank} for attempt, rank in found.missing],
        "as_of": found.as_of,
    }


def _watched(run: "Run", interval_s: float, *, quiet: bool) -> "RunStatus":
    """The status when no process lives any more; shows each change until then."""
    from rich.live import Live

    from rlvr.views.terminal.status import state_line, status_view

    console = output_console()
    found = run.status()
    if quiet or not console.is_terminal:
        said = ""
        while True:
            line = state_line(found)
            if not quiet and line != said:
                show(line)
            if not found.alive:
                return found
            said = line
            time.sleep(interval_s)
            found = run.status()
    with Live(status_view(found), console=console, auto_refresh=False) as live:
        while found.alive:
            time.sleep(interval_s)
            found = run.status()
            live.update(status_view(found), refresh=True)
    return found
