"""`rlvr diagnose`: why the reward of a run does not improve."""

import difflib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rlvr.cli.browser import browser_line, viewed
from rlvr.cli.opening import SAMPLES, Opened, announce, open_named, open_sample, shown_place
from rlvr.cli.output import say, show, show_json, show_json_line
from rlvr.cli.selection import Where
from rlvr.errors import ConfigurationError

if TYPE_CHECKING:
    from rlvr.diagnosis import RunEvidence, Verdict


def diagnose(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name."),
    ] = None,
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="Show only this cause, in full.")
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Diagnose the bundled runs: upstream, repaired.")
    ] = False,
    evaluation: Annotated[
        str | None,
        typer.Option("--eval", metavar="OTHER", help="An evaluation to set beside the training."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the run until it ends; see below.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.05, help="Seconds between two looks of --watch.")
    ] = 5.0,
    since: Annotated[
        int | None, typer.Option(metavar="STEP", min=0, help="Judge from this step on only.")
    ] = None,
    where: Where = None,
    fail_on: Annotated[
        Literal["error", "warning", "note"] | None,
        typer.Option(help="Exit with 1 where a finding is as bad as this, or worse."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say why the reward of a run does not improve, with evidence.

    Findings come worst first, each with its numbers, examples to open, what else could look like
    it, a check that could refute it, and what to do; then what is healthy, and what is unknown.
    With an evaluation, or evaluations of its own, the causes of a gap to these are among them.

    --watch judges a run anew as its steps come: each finding when it comes, with the step since
    which it holds, and when it goes. It ends with the run, with the whole verdict, or at the first
    finding as bad as --fail-on. In a pipe there is a line for each change, with --json a line of
    JSON.

    \b
    Example:
      rlvr diagnose outputs/demo                        the verdict
      rlvr diagnose outputs/demo context-not-attended   one cause in full
      rlvr diagnose outputs/train --eval outputs/eval   why it scores less than its evaluation
      rlvr diagnose outputs/demo --fail-on error        for a script
      rlvr diagnose outputs/demo --where "step > 40"    of these rollouts alone
      rlvr diagnose outputs/run --watch --fail-on error  a guard beside a training
      rlvr diagnose --sample                            two runs of ours

    In JSON, NaN and the infinities are strings. Exit codes: 0 judged; 1 a finding is as bad as
    --fail-on; 2 no such run or code, or wrong usage; 130 --watch was interrupted.
    """
    if run is None and not sample:
        raise typer.BadParameter("name a run, or use --sample; `rlvr list` shows what there is.")
    if run is None and evaluation is not None:
        raise typer.BadParameter("--eval is for one run; name it before --eval.")
    if code is not None:
        _check_code(code)
    if watch:
        _check_watch(run, sample=sample, others=(code, evaluation, where))
        _watch(open_named(str(run)), every, since, fail_on, as_json=as_json)
        return
    other = None if evaluation is None else open_named(evaluation, foreign=True)
    judged = [
        (opened, _verdict(opened, other, since, code, where))
        for opened in named_runs(run, sample=sample)
    ]
    if as_json:
        _print_json(judged, many=run is None)
    else:
        for at, (opened, verdict) in enumerate(judged):
            if at:
                show("")
            _print(opened, verdict, code)
    found = [finding for _, verdict in judged for finding in verdict.findings]
    if fail_on is not None and any(_as_bad(finding.severity, fail_on) for finding in found):
        raise typer.Exit(1)


def named_runs(run: str | None, *, sample: bool) -> list[Opened]:
    """The run that is named; without a name, every bundled one."""
    if run is None:
        return [open_sample(name) for name in SAMPLES]
    return [open_sample(run) if sample else open_named(run, foreign=True)]


def read_evidence(
    opened: Opened, since: int | None = None, *, where: str | None = None, many: int | None = None
) -> "RunEvidence":
    """What a diagnosis reads of the run; says so where it has many rollouts, as `announce` does."""
    from rlvr.diagnosis import load_evidence

    announce(opened, many)
    return load_evidence(opened.run, since=since, where=where)


def title_of(opened: Opened, where: str | None = None) -> str:
    """The run in one line: its name, where it lies or that it is a bundled one, and the filter."""
    from rlvr.views.terminal.text import joined, one_line

    info = opened.run.info
    named = one_line(info.name, 80) if info and info.name else ""
    bundled = f"bundled run {opened.run.id}"
    place = bundled if opened.bundled else shown_place(opened.run.place)
    return joined((named, place, "" if where is None else f"where {one_line(where, 200)}"))


def _check_watch(run: str | None, *, sample: bool, others: tuple[str | None, ...]) -> None:
    if run is None or sample or any(other is not None for other in others):
        raise typer.BadParameter("--watch is for one run, without CODE, --eval and --where.")


def _watch(
    opened: Opened, every_s: float, since: int | None, fail_on: str | None, *, as_json: bool
) -> None:
    """Follow the run, then say all of the last verdict."""
    from rlvr.cli.watching import Watch
    from rlvr.diagnosis import Finding
    from rlvr.views.verdict import verdict_values

    def is_bad(finding: Finding) -> bool:
        return fail_on is not None and _as_bad(finding.severity, fail_on)

    watched = Watch(opened=opened, every_s=every_s, since=since, as_json=as_json, is_bad=is_bad)
    verdict = watched.run()
    if verdict is None:
        say(f"rlvr: {opened.run.id} has no training rollout")
        return
    if as_json:
        place = shown_place(opened.run.place)
        places, port = viewed(opened)
        values = verdict_values(verdict, opened.argument, places=places, port=port)
        show_json_line("verdict", **values, place=place)
    else:
        _print(opened, verdict, None)
    if any(is_bad(finding) for finding in verdict.findings):
        raise typer.Exit(1)


def _check_code(code: str) -> None:
    from rlvr.diagnosis import CODES

    if code not in CODES:
        close = difflib.get_close_matches(code, CODES, 3, 0.4) or CODES
        raise ConfigurationError(f"there is no code {code!r}. Did you mean {', '.join(close)}?")


def _verdict(
    opened: Opened, other: Opened | None, since: int | None, code: str | None, where: str | None
) -> "Verdict":
    """What is said of the run, beside the other if there is one; with a code, of that alone."""
    from dataclasses import replace

    from rlvr.diagnosis import compare_with
    from rlvr.diagnosis import diagnose as judge

    parity = compare_with(
        opened.run,
        None if other is None else other.run,
        since=since,
        where=where,
        called=(opened.argument, (other or opened).argument),
    )
    verdict = judge(replace(read_evidence(opened, since, where=where), parity=parity))
    return verdict if code is None else _of_code(verdict, code)


def _of_code(verdict: "Verdict", code: str) -> "Verdict":
    """The verdict with what it says of one code alone."""
    from dataclasses import replace

    from rlvr.diagnosis import Healthy
    from rlvr.diagnosis.detectors import evaluation

    kept = replace(
        verdict,
        findings=tuple(finding for finding in verdict.findings if finding.code == code),
        healthy=tuple(healthy for healthy in verdict.healthy if healthy.code == code),
        unknown=tuple(unknown for unknown in verdict.unknown if unknown.code == code),
    )
    said = kept.findings or kept.healthy or kept.unknown
    if said or not verdict.rollouts or code not in evaluation.CODES:
        return kept
    answer = evaluation.unasked(code, verdict.parity)
    if isinstance(answer, Healthy):
        return replace(kept, healthy=(answer,))
    return replace(kept, unknown=(answer,))


def _as_bad(severity: Any, fail_on: str) -> bool:
    from rlvr.diagnosis import Severity

    return bool(severity.rank <= Severity(fail_on).rank)


def _print(opened: Opened, verdict: "Verdict", code: str | None) -> None:
    from rlvr.views.terminal.verdict import outcomes_view, verdict_view

    title = title_of(opened)
    if code is None:
        show(verdict_view(verdict, run=opened.argument, title=title))
        show(browser_line(opened, lambda places: places.of_diagnosis()))
    else:
        show(outcomes_view(verdict, run=opened.argument, title=title))
        show(browser_line(opened, lambda places: places.of_diagnosis(code)))


def _print_json(judged: "list[tuple[Opened, Verdict]]", *, many: bool) -> None:
    from rlvr.views.verdict import verdict_values

    values = [
        {
            **verdict_values(verdict, opened.argument, places=places, port=port),
            "place": shown_place(opened.run.place),
        }
        for opened, verdict in judged
        for places, port in [viewed(opened)]
    ]
    if many:
        show_json("verdicts", runs=dict(zip(SAMPLES, values, strict=True)))
    else:
        show_json("verdict", **values[0])
