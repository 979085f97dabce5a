"""`rlvr ledger`: what became of the signal of every training rollout."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvr.cli.diagnose import named_runs, read_evidence, title_of
from rlvr.cli.opening import SAMPLES, Opened, shown_place
from rlvr.cli.output import show, show_bounded_json
from rlvr.cli.selection import Where

if TYPE_CHECKING:
    from rlvr.diagnosis import RunEvidence


def ledger(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name."),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Take the bundled runs: upstream, repaired.")
    ] = False,
    where: Where = None,
    full: Annotated[
        bool, typer.Option("--full", help="In JSON, every step of a long run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Count what became of the signal of every training rollout.

    Each rollout stands on one line, so the lines add up. sound: reached the gradient as it should.
    lost: gave no gradient. corrupted: reached it with wrong context, tokens, policy or reward.
    unverified: what was trained of it was not recorded.

    \b
    Example:
      rlvr ledger outputs/demo
      rlvr ledger --sample repaired

    Exit codes: 0 counted; 1 there is no training rollout; 2 no such run, or wrong usage.
    """
    if run is None and not sample:
        raise typer.BadParameter("name a run, or use --sample; `rlvr list` shows what there is.")
    read = [
        (opened, read_evidence(opened, where=where)) for opened in named_runs(run, sample=sample)
    ]
    if as_json:
        values = [_values(opened, evidence) for opened, evidence in read]
        if run is None:
            show_bounded_json("ledgers", full=full, runs=dict(zip(SAMPLES, values, strict=True)))
        else:
            show_bounded_json("ledger", full=full, **values[0])
    else:
        _print(read)
    if not any(evidence.ledger.total for _, evidence in read):
        raise typer.Exit(1)


def _print(read: "list[tuple[Opened, RunEvidence]]") -> None:
    from rlvr.diagnosis import Fate
    from rlvr.diagnosis.fates import share_by_step
    from rlvr.views.terminal.ledger import ledger_view

    for at, (opened, evidence) in enumerate(read):
        if at:
            show("")
        show(
            ledger_view(
                evidence.ledger,
                run=opened.argument,
                title=title_of(opened, evidence.where),
                sound_by_step=share_by_step(evidence, Fate.SOUND),
            )
        )


def _values(opened: Opened, evidence: "RunEvidence") -> dict[str, Any]:
    from rlvr.diagnosis import Fate
    from rlvr.diagnosis.fates import share_by_step
    from rlvr.views.verdict import ledger_values

    return {
        "run": opened.run.id,
        "place": shown_place(opened.run.place),
        "where": evidence.where,
        "ledger": ledger_values(evidence.ledger),
        "by_step": {fate.value: share_by_step(evidence, fate) for fate in Fate},
    }
