"""`rlvr compact`: write the small files of a run as few large ones."""

from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.opening import open_named, shown_path, writable
from rlvr.cli.output import say, show, show_json

if TYPE_CHECKING:
    from rlvr.runs import CompactPlan, CompactReport


def compact(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder or id of a run.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
    ] = False,
    keep_grace: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Leave small files so long to those who have just listed them; 60 while the run"
            " is recorded, else 0.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the small files of a run as few large ones: the same rows, faster to read.

    A recorder does this itself. It is for runs that were killed, or recorded without. Ids stay
    valid, nothing is lost, and a run that is being recorded or read may be compacted, also that of
    another machine. A small file goes once it was compared with the large one, value by value.

    \b
    Example:
      rlvr compact outputs/demo --dry-run
      rlvr compact outputs/demo

    Exit codes: 0 compacted, shown, or nothing to compact; 1 files stay that differ from their
    compacted ones; 2 no such run, wrong usage, or a run that can't be written.
    """
    from rlvr.runs import carry_out_compacting, plan_compacting

    recorded = writable(open_named(run), "compact")
    plan = plan_compacting(recorded, grace_s=keep_grace)
    report = None
    if not dry_run:
        report = carry_out_compacting(recorded, plan, waiting=_say_waiting)
    if as_json:
        show_json("compact", dry_run=dry_run, **_values(plan, report))
    else:
        _print(plan, report)
    if report and report.kept:
        for path in report.kept:
            say(f"rlvr: {shown_path(path)} differs from its compacted file, so it stays.")
        raise typer.Exit(1)


def _say_waiting(seconds: float) -> None:
    say(f"rlvr: the small files stay for {seconds:g} s, for those who have just listed them.")


def _print(plan: "CompactPlan", report: "CompactReport | None") -> None:
    from rlvr.views.terminal.compact import compact_view

    show(compact_view(plan, report, place=shown_path(plan.folder)))


def _values(plan: "CompactPlan", report: "CompactReport | None") -> dict[str, object]:
    return {
        "run": plan.run,
        "place": shown_path(plan.folder),
        "before": plan.before,
        "after": report.after if report else None,
        "batches": report.batches if report else plan.batches,
        "written": report.written if report else plan.written,
        "removed": report.removed if report else None,
        "kept": [shown_path(path) for path in report.kept] if report else [],
    }
