"""`rlvr mirror`: a copy of a run in an object store, brought up to it."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.opening import open_named, writable
from rlvr.cli.output import say, show, show_json

if TYPE_CHECKING:
    from rlvr.remote.mirroring import Mirroring, MirrorPlan
    from rlvr.runs import Run

_LONGEST_PAUSE_S = 60.0


def mirror(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder or id of a run.")],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where the copy lies, in a folder of the run's id.")
    ],
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until no process of the run lives.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.05, help="Seconds between two looks of --watch.")
    ] = 10.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be copied, and copy nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Copy a run to object storage, or bring its copy there up to it.

    The copy is URL/RUN_ID, and can be read while it is written. What is there already is left; so
    running this again goes on where it was interrupted. Works on a run that is being recorded, that
    is finished, or that was killed.

    \b
    Example:
      rlvr mirror outputs/demo s3://bucket/runs
      rlvr mirror outputs/demo s3://bucket/runs --watch
      rlvr show s3://bucket/runs

    With --watch an outage is waited for, after the end of the run some two minutes. Exit codes: 0
    the copy is up to the run, or --dry-run; 2 no such run, or the place can't be reached; 130
    interrupted, what was copied is whole.
    """
    from rlvr.remote.mirroring import Mirroring, copy_place
    from rlvr.runs.mirrored import note_mirrored
    from rlvr.utils.sizes import size_text

    recorded = writable(open_named(run), "mirror")
    mirroring = Mirroring(recorded.path, copy_place(url, recorded.path))
    try:
        plan = _watched(recorded, mirroring, interval) if watch and not dry_run else None
        if plan is None:
            plan = mirroring.plan()
            if not dry_run:
                mirroring.carry_out(plan)
        if not dry_run:
            note_mirrored(recorded, mirroring.remote.shown)
    except KeyboardInterrupt:
        say("rlvr: interrupted; what was copied is whole, and doing it again copies the rest.")
        raise typer.Exit(130) from None
    if as_json:
        show_json("mirror", run=recorded.id, **_values(mirroring, plan), dry_run=dry_run)
        return
    verb = "lacks" if dry_run else "is up to the run: copied"
    removed = f", {len(plan.removals):,} removed" if plan.removals else ""
    show(f"{mirroring.remote.shown} {verb} {plan.files:,} files, {size_text(plan.bytes)}{removed}")
    if plan.kept:
        say(f"rlvr: {len(plan.kept):,} files are there and no longer here; they stay.")


def _values(mirroring: "Mirroring", plan: "MirrorPlan") -> dict[str, object]:
    return {
        "url": mirroring.remote.shown,
        "files": plan.files,
        "bytes": plan.bytes,
        "removed": plan.removals,
        "kept": plan.kept,
    }


def _watched(run: "Run", mirroring: "Mirroring", interval_s: float) -> "MirrorPlan":
    """Mirror until no process of the run lives; the sum of what was done."""
    from rlvr.errors import RemoteUnavailable
    from rlvr.utils.sizes import size_text

    pause_s, done = interval_s, None
    while True:
        # Looked at before: what a process wrote before it ended is copied after it did.
        # The last time the place is asked what it holds: what was copied may be gone from there.
        ended = not run.status().alive
        if ended:
            mirroring.forget()
        try:
            plan = mirroring.plan()
            mirroring.carry_out(plan)
        except RemoteUnavailable as error:
            if ended and pause_s >= _LONGEST_PAUSE_S:
                raise
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            say(f"rlvr: {error} Trying again in {pause_s:g} s.")
            time.sleep(pause_s)
            continue
        if pause_s != interval_s:
            say(f"rlvr: {mirroring.remote.shown} is reached again.")
        pause_s = interval_s
        if plan.files:
            say(f"rlvr: copied {plan.files:,} files, {size_text(plan.bytes)}")
        done = plan if done is None else done.with_more(plan)
        if ended:
            return done
        time.sleep(interval_s)
