"""`rlvr export`: recorded rollouts, written for another tool."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.counting import counting
from rlvr.cli.opening import Opened, open_named, open_sample
from rlvr.cli.output import say, show, show_json
from rlvr.cli.selection import Selection, Where, chosen_steps, find
from rlvr.errors import ConfigurationError
from rlvr.record import Mode

if TYPE_CHECKING:
    from rlvr.exporting import ExportReport, Format


def export(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name.")
    ],
    records: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...", help="Only these trajectories or groups; the beginning of an id."
        ),
    ] = None,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="FORMAT", help="One of: jsonl, verifiers, trl, atif, scout, hf."
        ),
    ],
    output: Annotated[
        Path, typer.Option(metavar="PATH", help="The file or folder that is written.")
    ],
    sample: Annotated[
        bool, typer.Option("--sample", help="Export a bundled run: upstream, repaired.")
    ] = False,
    mode: Annotated[Mode | None, typer.Option(help="Only training or evaluation.")] = None,
    step: Annotated[int | None, typer.Option(metavar="N", help="Only this step.")] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only steps A to B, both included; either may lack."),
    ] = None,
    group: Annotated[str | None, typer.Option(help="Only the group of this id.")] = None,
    min_reward: Annotated[
        float | None, typer.Option(help="Only trajectories with at least this reward.")
    ] = None,
    max_reward: Annotated[
        float | None, typer.Option(help="Only trajectories with at most this reward.")
    ] = None,
    where: Where = None,
    redact: Annotated[
        bool | None,
        typer.Option(
            "--redact/--no-redact",
            help="Replace what looks like a secret; by default in every format but jsonl.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export at PATH.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a run, or some of its trajectories, in a format that another tool reads.

    jsonl holds everything and comes back exactly; of every other format it is said what it can't
    hold. PATH appears when it is whole, or not at all.

    \b
    Example:
      rlvr export outputs/demo --to jsonl --output demo.jsonl
      rlvr export outputs/demo --to trl --output completions --steps 10:20
      rlvr export outputs/demo train-b000003-g001 --to jsonl --output group.jsonl

    Exit codes: 0 written; 1 nothing matches and nothing was written, or files of the run are
    damaged and their rollouts missing; 2 no such run, PATH can't be written, or wrong usage; 130
    interrupted, nothing was written.
    """
    from rlvr.exporting import export_run

    form = _format(to)
    opened = open_sample(run) if sample else open_named(run)
    selection = Selection(
        step=chosen_steps(step, steps),
        mode=mode,
        group=group,
        min_reward=min_reward,
        max_reward=max_reward,
        where=where,
    )
    if records and selection.filters:
        raise ConfigurationError("IDs and filters exclude each other; leave one of them out.")
    try:
        with counting("exporting", "written") as on_progress:
            report = export_run(
                opened.run,
                form,
                output,
                ids=_ids(opened, records or ()),
                filters=selection.filters,
                redact=redact,
                overwrite=overwrite,
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        say(f"rlvr: interrupted; nothing was written to {output}.")
        raise typer.Exit(130) from None
    _print(report, as_json=as_json)
    if report.damaged:
        raise typer.Exit(1)


def _format(named: str) -> "Format":
    from rlvr.exporting import FORMATS

    if named not in FORMATS:
        raise ConfigurationError(f"there is no format {named!r}; take one of {', '.join(FORMATS)}.")
    return FORMATS[named]


def _ids(opened: Opened, records: "list[str] | tuple[()]") -> list[str]:
    """The ids of the trajectories that are named, each once; of a group, those of all in it."""
    found: dict[str, None] = {}
    for named in records:
        record = find(opened.run, named)
        for trajectory in record if isinstance(record, list) else [record]:
            found[trajectory.id or ""] = None
    return list(found)


def _print(report: "ExportReport", *, as_json: bool) -> None:
    from rlvr.views.terminal.exported import export_view

    if as_json:
        show_json("export", report=report)
    else:
        show(export_view(report))
