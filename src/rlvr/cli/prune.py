"""`rlvr prune`: make a recorded run smaller."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.opening import Opened, open_named, shown_path, writable
from rlvr.cli.output import say, show, show_json

if TYPE_CHECKING:
    from rlvr.runs import PrunePlan


def prune(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder or id of a run.")],
    *,
    drop_tokens: Annotated[
        bool, typer.Option("--drop-tokens", help="Remove all token details.")
    ] = False,
    keep_tokens_every: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Keep token details of every N-th step only."),
    ] = None,
    before: Annotated[
        int | None, typer.Option(metavar="STEP", min=0, help="Either only in steps below STEP.")
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Then go on until the run takes less, such as 10GB: token details of the oldest"
            " steps, then messages.",
        ),
    ] = None,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Remove rows that a resumed run trained again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make a run smaller: token details, then messages, never the scalars of a rollout.

    Says what it will remove and asks. Leftovers of killed writers always go. Ids stay valid, also
    on a run that is being recorded. What is gone can't be brought back.

    \b
    Example:
      rlvr prune outputs/demo --max-size 2GB --dry-run
      rlvr prune outputs/demo --keep-tokens-every 50 --before 1000
      rlvr prune outputs/demo --drop-tokens --superseded --yes

    Exit codes: 0 pruned, shown, or nothing to prune; 1 --max-size can't be reached, or the answer
    was no; 2 no such run, or wrong usage.
    """
    from rlvr.runs import PruneRequest, carry_out, plan_pruning
    from rlvr.utils.sizes import parse_size, size_text

    request = PruneRequest(
        drop_tokens=drop_tokens,
        keep_tokens_every=keep_tokens_every,
        before=before,
        max_bytes=None if max_size is None else parse_size(max_size),
        superseded=superseded,
    )
    opened = open_named(run)
    plan = plan_pruning(writable(opened, "prune"), request)
    if not as_json:
        _print(opened, plan)
    freed = None
    if not dry_run and plan.removals:
        _confirm(plan, yes=yes, quiet=as_json)
        freed = carry_out(plan)
    if as_json:
        show_json("prune", freed_bytes=freed, dry_run=dry_run, **_values(plan))
    elif freed is not None:
        say(f"rlvr: {size_text(freed)} are free again.")
    short = plan.short_bytes if freed is None else plan.excess_bytes(opened.run.size_bytes)
    if short:
        say(
            f"rlvr: {max_size} can't be reached: {size_text(short)} more are scalars and the newest"
            " step, which always stay."
        )
        raise typer.Exit(1)


def _confirm(plan: "PrunePlan", *, yes: bool, quiet: bool) -> None:
    if yes:
        return
    if quiet or not sys.stdin.isatty():
        raise typer.BadParameter(
            "nothing was removed: add --yes to remove it without being asked, or --dry-run."
        )
    if not typer.confirm(f"Remove this from {plan.run}?", err=True):
        say("rlvr: nothing was removed.")
        raise typer.Exit(1)


def _print(opened: Opened, plan: "PrunePlan") -> None:
    from rlvr.views.terminal.prune import prune_view

    show(prune_view(plan, place=shown_path(opened.run.path)))


def _values(plan: "PrunePlan") -> dict[str, object]:
    return {
        "run": plan.run,
        "place": shown_path(plan.folder),
        "size_bytes": plan.size_bytes,
        "removals": plan.removals,
        "planned_bytes": plan.freed_bytes,
        "short_bytes": plan.short_bytes,
    }
