"""`rlvr publish`: the trajectories of a run as a Delta table for other engines."""

from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.counting import counting
from rlvr.cli.opening import open_named
from rlvr.cli.output import say, show, show_json

if TYPE_CHECKING:
    from rlvr.publishing import PublishReport


def publish(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder, URL or id of a run.")],
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="The table, such as s3://BUCKET/rollouts, or a folder."),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be added, and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the trajectories of a run as a Delta table, which other engines read; or add what such
    a table lacks.

    One table holds any number of runs, partitioned by run. Publishing again adds what is new, and
    removes what a resume has superseded; a row is never there twice. It can be interrupted or
    killed at any moment. Token details stay out of it. Needs `pip install 'rlvr[delta]'`.

    \b
    Example:
      rlvr publish outputs/demo/repaired s3://bucket/rollouts
      python -c 'import polars; print(polars.scan_delta("s3://bucket/rollouts").collect())'

    Of a run that is being recorded the newest batches wait, since more may become known of them.
    Exit codes: 0 published, or nothing to publish; 1 files of the run are damaged and their
    rollouts missing; 2 no such run, or the table can't be reached or written; 130 interrupted, what
    was added is whole.
    """
    from rlvr.publishing import PublishedTable
    from rlvr.publishing import publish as publish_run

    opened = open_named(run)
    try:
        with counting("publishing", "published") as on_progress:
            report = publish_run(
                opened.run, PublishedTable(url), dry_run=dry_run, on_progress=on_progress
            )
    except KeyboardInterrupt:
        say("rlvr: interrupted; what was added is whole, and doing it again adds the rest.")
        raise typer.Exit(130) from None
    if as_json:
        show_json("publish", dry_run=dry_run, **_values(report))
    else:
        show(_sentence(report))
        for damage in report.damaged:
            say(f"rlvr: {damage}")
    if report.damaged:
        raise typer.Exit(1)


def _values(report: "PublishReport") -> dict[str, object]:
    return {
        "run": report.run,
        "url": report.url,
        "table_version": report.version,
        "added": report.added,
        "batches": report.batches,
        "removed": report.removed,
        "waiting": report.waiting,
        "damaged": report.damaged,
    }


def _sentence(report: "PublishReport") -> str:
    of = f"{report.added:,} rollouts in {report.batches:,} batches of {report.run}"
    if report.removed is None:
        said = f"{report.url} lacks {of}"
    elif report.added:
        said = f"{report.url}: added {of}"
    else:
        said = f"{report.url} lacks nothing of {report.run}"
    if report.removed:
        said += f"; removed {report.removed:,} rollouts that a resume has superseded"
    if report.waiting:
        said += f"; the newest {report.waiting:,} batches wait"
    return said
