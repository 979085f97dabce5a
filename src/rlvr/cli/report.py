"""`rlvr report`: what is wrong with a run, as a file for others."""

from pathlib import Path
from typing import Annotated

import typer

from rlvr.cli.opening import announce, open_named, open_sample
from rlvr.cli.output import say, show_json
from rlvr.cli.selection import Where
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


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name.")
    ],
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Report on a bundled run: upstream, repaired.")
    ] = False,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write its plots there, each as SVG and as PNG."),
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Option("--eval", metavar="OTHER", help="An evaluation to set beside the training."),
    ] = None,
    since: Annotated[
        int | None, typer.Option(metavar="STEP", min=0, help="Judge from this step on only.")
    ] = None,
    where: Where = None,
    also_redact: AlsoRedact = None,
    private: Private = False,
    redact: Annotated[
        bool, typer.Option("--redact/--no-redact", help="Replace what looks like a secret.")
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write what is wrong with a run as a file that others can open.

    The HTML file holds the verdict with its plots, the run, and the trajectories that the verdict
    cites, linked with one another. It opens without a network, runs no script and loads nothing.
    Markdown is for an issue or a paper. Secrets are replaced, and it says which and where;
    docs/share.md lists the forms.

    \b
    Example:
      rlvr report outputs/demo --html demo.html
      rlvr report outputs/demo --markdown - | gh issue create --body-file - --title flat
      rlvr report --sample upstream --html upstream.html --plots plots
      rlvr report outputs/demo --html demo.html --also-redact "ACME-\\d+" --private

    Exit codes: 0 written; 2 no such run, a file is there already or can't be written, or wrong
    usage.
    """
    if html is None and markdown is None and plots is None:
        raise ConfigurationError("say what to write: --html FILE, --markdown FILE or --plots DIR.")
    from rlvr.viewer.sharing import report_file, report_text
    from rlvr.viewer.verdicts import Judging

    wanted = Wanted(html=html, markdown=markdown, overwrite=overwrite)
    wanted.check()
    options = options_of(redact=redact, private=private, also=also_redact)
    opened = open_sample(run) if sample else open_named(run, foreign=True)
    announce(opened)
    desk = desk_of(opened, None if evaluation is None else open_named(evaluation, foreign=True))
    beside = None if evaluation is None else desk.others.desk(desk.others.names()[0])
    judging = Judging(since=since, where=where, beside=beside)
    files = write_all(
        wanted,
        None if html is None else report_file(desk, options, judging),
        None if markdown is None else report_text(desk, options, judging),
        quiet=as_json,
    )
    drawn = []
    if plots is not None:
        from rlvr.cli.report_plots import draw
        from rlvr.viewer.sharing import desk_for_file, judging_for_file

        redactor = options.redactor
        shown = desk_for_file(desk, redactor), judging_for_file(judging, redactor)
        drawn = [str(path) for path in draw(*shown, plots, overwrite=overwrite)]
        if not as_json:
            say(f"rlvr: drew {len(drawn)} files in {plots}")
    if as_json:
        show_json("report", run=opened.run.id, files=files, plots=drawn)
