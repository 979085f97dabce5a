"""A verdict as values for a page: each number with what it opens."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.diagnosis import Example, Fate, Finding, Ledger, Reason, Severity, Verdict
from rlvr.diagnosis.headline import headline, mostly_judged
from rlvr.utils.places import Places
from rlvr.views.terminal.text import number, one_line, plural, share
from rlvr.views.verdict import (
    diagnose_command,
    example_command,
    extent_text,
    number_text,
    page_of,
    signal_text,
)
from rlvr.views.web.charts import WIDTH, Chart, Mark, Series, chart

SEVERITIES = {Severity.ERROR: "✗ error", Severity.WARNING: "⚠ warning", Severity.NOTE: "· note"}
"""How bad a finding is, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the bar of all rollouts: where it is drawn, and what it says."""

    fate: str
    x: str
    width: str
    label: str


def verdict_on_page(verdict: Verdict, *, run: str, places: Places) -> dict[str, Any]:
    """Everything that a page shows of it; `run` is how commands call the run.

    The anchor of a finding is its code, of a second one of that code CODE-2.
    """
    worst = verdict.worst
    judged = worst.value if worst else "healthy" if mostly_judged(verdict) else "note"
    findings = [
        _finding(finding, anchor, diagnose_command(verdict, run, finding.code), run, places)
        for finding, anchor in zip(verdict.findings, _anchors(verdict.findings), strict=True)
    ]
    return {
        "headline": headline(verdict),
        "kind": judged if verdict.rollouts else "note",
        "extent": extent_text(verdict),
        "remarks": verdict.remarks,
        "findings": [one for one in findings if one["severity"] != Severity.NOTE],
        "notes": [one for one in findings if one["severity"] == Severity.NOTE],
        "healthy": verdict.healthy,
        "unknown": verdict.unknown,
    }


def ledger_on_page(
    ledger: Ledger, places: Places, asked: Mapping[str, str | int | None]
) -> dict[str, Any]:
    """A ledger as a bar and the rows of a table; each line opens its rollouts, judged as `asked`.

    `outside` says what is not among its total.
    """
    return {
        "total": ledger.total,
        "bar": _bar(ledger),
        "rows": list(_rows(ledger, places, asked)),
        "sum": " + ".join(f"{number(ledger.count(fate))} {fate}" for fate in Fate)
        + f" = {plural(ledger.total, 'rollout')}",
        "also": any(line.concerned > line.rollouts for line in ledger.lines),
        "outside": [
            said
            for count, said in (
                (ledger.superseded, f"{number(ledger.superseded)} that a restart undid"),
                (
                    ledger.not_recorded,
                    f"at least {number(ledger.not_recorded)} that were never recorded",
                ),
            )
            if count
        ],
    }


def sound_chart(sound_by_step: Sequence[tuple[int, float]], places: Places) -> Chart | None:
    """The share of each step's rollouts that reached the gradient sound; None where it is one."""
    if len({value for _, value in sound_by_step}) < 2:
        return None
    series = [Series(name="sound", points=sound_by_step)]
    return chart("share that reached the gradient sound", series, url=places.of_step, low=0, high=1)


def _bar(ledger: Ledger) -> list[Segment]:
    counts = [(fate, ledger.count(fate)) for fate in Fate if ledger.count(fate)]
    segments, at = [], 0
    for fate, count in counts:
        segments.append(
            Segment(
                fate=fate.value,
                x=f"{at / ledger.total * WIDTH:.2f}",
                width=f"{max(count / ledger.total * WIDTH, 1.0):.2f}",
                label=f"{fate} {number(count)} ({share(count / ledger.total)})",
            )
        )
        at += count
    return segments


def _rows(
    ledger: Ledger, places: Places, asked: Mapping[str, str | int | None]
) -> Iterator[dict[str, Any]]:
    for fate in Fate:
        count = ledger.count(fate)
        lines = [line for line in ledger.lines if line.reason.fate is fate]
        yield {
            "fate": fate.value,
            "reason": None,
            "rollouts": count,
            "share": count / ledger.total if ledger.total else None,
            "concerned": None,
            "url": _fate_url(fate, places, asked) if count else "",
        }
        for line in lines if fate is not Fate.SOUND else ():
            yield {
                "fate": fate.value,
                "reason": line.reason.meaning,
                "rollouts": line.rollouts,
                "share": line.rollouts / ledger.total,
                "concerned": line.concerned,
                "url": places.of_ledger(line.reason.value, **asked) if line.rollouts else "",
            }


def _fate_url(fate: Fate, places: Places, asked: Mapping[str, str | int | None]) -> str:
    """Sound rollouts all stand on one line."""
    if fate is Fate.SOUND:
        return places.of_ledger(Reason.REACHED.value, **asked)
    return places.of_fate(fate.value, **asked)


def _anchors(findings: Sequence[Finding]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.code] += 1
        again = seen[finding.code]
        yield finding.code if again == 1 else f"{finding.code}-{again}"


def _finding(
    finding: Finding, anchor: str, command: str, run: str, places: Places
) -> dict[str, Any]:
    return {
        "anchor": anchor,
        "code": finding.code,
        "severity": finding.severity.value,
        "in_words": SEVERITIES[finding.severity],
        "sentence": finding.sentence,
        "signal": signal_text(finding),
        "since": finding.since_step,
        "since_url": "" if finding.since_step is None else places.of_step(finding.since_step),
        "numbers": [(one_line(one.name, 60), number_text(one)) for one in finding.numbers],
        "plot": _plot(finding, places),
        "steady": _steady(finding),
        "examples": list(_examples(finding, run, places)),
        "lookalikes": finding.lookalikes,
        "refuted_by": finding.refuted_by,
        "remedy": finding.remedy,
        "page": page_of(finding.code),
        "command": command,
    }


def _plot(finding: Finding, places: Places) -> Chart | None:
    """The finding's plot with its onset marked; None where it is one value or one point."""
    plot = finding.plot
    if plot is None or _steady(finding) or all(len(p) < 2 for p in plot.series.values()):
        return None
    stepwise = plot.x_label == "step"
    since = finding.since_step
    low, high = plot.y_range or (None, None)
    return chart(
        plot.title,
        [Series(name=name, points=points) for name, points in plot.series.items()],
        url=places.of_step if stepwise else lambda _: "",
        low=low,
        high=high,
        marks=[Mark(step=since, label=f"since step {since}")] if stepwise and since else (),
        x_label=plot.x_label,
    )


def _steady(finding: Finding) -> str:
    """What its plot says where it has the same value everywhere."""
    plot = finding.plot
    values = {y for points in plot.series.values() for _, y in points} if plot else set()
    if plot is None or len(values) != 1:
        return ""
    return f"{plot.title}: {number(values.pop(), 2)} at every {plot.x_label}"


def _examples(finding: Finding, run: str, places: Places) -> Iterator[dict[str, Any]]:
    for why in dict.fromkeys(example.why for example in finding.examples):
        yield {
            "why": why,
            "shown": [
                {
                    "url": places.of_example(example),
                    "label": _spot(example),
                    "command": example_command(run, example),
                }
                for example in finding.examples
                if example.why == why
            ],
        }


def _spot(example: Example) -> str:
    """The example's id and the place in it."""
    said = example.id
    if example.turn is not None:
        said += f", turn {example.turn}"
    if example.token is not None:
        said += f", token {example.token}"
    if example.sequence:
        said += f" of sequence {example.sequence}"
    return said
