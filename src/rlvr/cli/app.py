"""The verbs, gathered."""

from typing import Annotated

import typer

from rlvr.cli.check import check
from rlvr.cli.compact import compact
from rlvr.cli.compare import compare
from rlvr.cli.contrast import contrast
from rlvr.cli.demo import demo
from rlvr.cli.diagnose import diagnose
from rlvr.cli.export import export
from rlvr.cli.importing import import_runs
from rlvr.cli.ledger import ledger
from rlvr.cli.list import list_runs
from rlvr.cli.mirror import mirror
from rlvr.cli.parity import parity
from rlvr.cli.preflight import CONTEXT, preflight
from rlvr.cli.prompt import prompt
from rlvr.cli.prune import prune
from rlvr.cli.publish import publish
from rlvr.cli.report import report
from rlvr.cli.rescore import rescore
from rlvr.cli.rewards import rewards
from rlvr.cli.search import search
from rlvr.cli.show import show
from rlvr.cli.status import status
from rlvr.cli.tools import tools
from rlvr.cli.view import view


def build() -> typer.Typer:
    """The application with every verb. Each verb imports what it needs when it runs."""
    app = typer.Typer(
        name="rlvr",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(root)
    app.command("check")(check)
    app.command("compact")(compact)
    app.command("compare")(compare)
    app.command("contrast")(contrast)
    app.command("demo")(demo)
    app.command("diagnose")(diagnose)
    app.command("export")(export)
    app.command("import")(import_runs)
    app.command("ledger")(ledger)
    app.command("list")(list_runs)
    app.command("mirror")(mirror)
    app.command("parity")(parity)
    app.command("preflight", context_settings=CONTEXT)(preflight)
    app.command("prompt")(prompt)
    app.command("prune")(prune)
    app.command("publish")(publish)
    app.command("report")(report)
    app.command("rescore")(rescore)
    app.command("rewards")(rewards)
    app.command("search")(search)
    app.command("show")(show)
    app.command("status")(status)
    app.command("tools")(tools)
    app.command("view")(view)
    return app


def _version(asked: bool) -> None:
    if asked:
        from rlvr import __version__

        typer.echo(__version__)
        raise typer.Exit


def root(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_version
        ),
    ] = False,
) -> None:
    """See what a GRPO training run of a tool-using model did, from what was recorded of it.

    \b
    Example:
      rlvr show --sample                two runs that come with rlvr
      rlvr diagnose --sample            what is wrong with them
      rlvr demo                         train a small policy here, and look at it
      rlvr list outputs                 the runs under a folder
      rlvr diagnose outputs/demo        why its reward does not improve
      rlvr show outputs/demo            one run on a page
      rlvr show outputs/demo ID         one trajectory in full
      rlvr view outputs                 all of it in a browser
      rlvr rewards outputs/demo         which component decides the advantages
      rlvr search outputs/demo "words"  the trajectories that say so
      rlvr tools outputs/demo           how the tools are used, and since when
      rlvr compare outputs/sweep        many runs by setting, with seeds as replicates
      rlvr check outputs/demo           whether its record is sound
      rlvr parity outputs/a outputs/b   why two runs score differently
      rlvr import their/run             what another tool recorded, as a run
      rlvr export outputs/demo --to trl --output completions
      rlvr publish outputs/demo s3://bucket/rollouts
      rlvr report outputs/demo --html demo.html   its verdict with evidence, to share

    Exit codes: 0 done; 1 nothing found, records were lost, or a finding is as bad as asked; 2 wrong
    usage or unreadable input.
    """
