"""`rlvr export`: recorded rollouts, written for another tool."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvr.cli.counting import counting
from rlvr.cli.opening import Opened, open_named, open_sample
from rlvr.cli.output import say, show, show_json
from rlvr.cli.selection import Selection, Where, chosen_steps, find
from rlvr.cli.sharing import (
    AlsoRedact,
    HtmlFile,
    MarkdownFile,
    Private,
    Wanted,
    desk_of,
    options_of,
    write_all,
)
from rlvr.errors import ConfigurationError
from rlvr.record import Mode

if TYPE_CHECKING:
    from rlvr.exporting import ExportReport, Format
    from rlvr.viewer.sharing import Options


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
        str | None,
        typer.Option(
            "--to", metavar="FORMAT", help="One of: jsonl, verifiers, trl, atif, scout, hf."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The file or folder that is written.")
    ] = None,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
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
    also_redact: AlsoRedact = None,
    private: Private = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export at PATH.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a run, or some of its trajectories, for another tool or for other people.

    jsonl holds everything and comes back exactly; of every other format it is said what it can't
    hold. PATH appears when it is whole, or not at all. --html and --markdown write the named
    trajectories and groups for people, without secrets: a file that opens offline, or the text of
    an issue.

    \b
    Example:
      rlvr export outputs/demo --to jsonl --output demo.jsonl
      rlvr export outputs/demo --to trl --output completions --steps 10:20
      rlvr export outputs/demo train-b000003-g001 --to jsonl --output group.jsonl
      rlvr export outputs/demo train-b000003-g001 --html group.html

    Exit codes: 0 written; 1 nothing matches and nothing was written, or files of the run are
    damaged and their rollouts missing; 2 no such run, PATH can't be written, or wrong usage; 130
    interrupted, nothing was written.
    """
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
    wanted = Wanted(html=html, markdown=markdown, overwrite=overwrite)
    if html is not None or markdown is not None:
        if to or output or selection.filters or not records:
            raise ConfigurationError(
                "--html and --markdown take IDs of trajectories or groups, no --to and no filter."
            )
        hidden = options_of(redact=redact is not False, private=private, also=also_redact)
        wanted.check()
        _share(run, records, wanted, hidden, sample=sample, as_json=as_json)
        return
    if also_redact or private:
        raise ConfigurationError("--also-redact and --private are of --html and --markdown.")
    if to is None or output is None:
        raise ConfigurationError("say --to FORMAT and --output PATH, or --html FILE.")
    form = _format(to)
    opened = open_sample(run) if sample else open_named(run)
    _export(
        opened,
        form,
        output,
        ids=_ids(opened, records or ()),
        filters=selection.filters,
        redact=redact,
        overwrite=overwrite,
        as_json=as_json,
    )


def _export(
    opened: Opened,
    form: "Format",
    output: Path,
    *,
    ids: list[str],
    filters: dict[str, Any],
    redact: bool | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    from rlvr.exporting import export_run

    try:
        with counting("exporting", "written") as on_progress:
            report = export_run(
                opened.run,
                form,
                output,
                ids=ids,
                filters=filters,
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


def _share(
    run: str,
    records: list[str],
    wanted: Wanted,
    hidden: "Options",
    *,
    sample: bool,
    as_json: bool,
) -> None:
    """Write the named trajectories and groups for people."""
    from rlvr.viewer.sharing import records_file, records_text

    opened = open_sample(run) if sample else open_named(run, foreign=True)
    found = [find(opened.run, named) for named in records]
    groups: dict[str, dict[str, str]] = {
        one[0].group_id: {} for one in found if isinstance(one, list)
    }
    ids = [one.id or "" for one in found if not isinstance(one, list)]
    desk = desk_of(opened)
    files = write_all(
        wanted,
        None if wanted.html is None else records_file(desk, ids, groups, hidden),
        None if wanted.markdown is None else records_text(desk, ids, list(groups), hidden),
        quiet=as_json,
    )
    if as_json:
        show_json("shared", run=opened.run.id, files=files)


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
