"""Tables of how right the diagnosis was: on a terminal, as Markdown, as JSON, as a plot."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.answers import AMONG, Ranked, Rate, rank_correlation, rate_of
from benchmarks.diagnosis.real.faults import AT_ONCE, FAULTS
from benchmarks.diagnosis.real.judge import Answer, Judged, from_plain, judge_all, plain
from rich.console import Console
from rich.table import Table

from rlvr.views.plots import DotPanel, Picture, save_picture

__all__ = ["Target", "show", "targets"]

KINDS = ("100%", "20%", "5%", "onset", "pair")
PICTURE = "diagnosis-quality.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked of the diagnosis, and what it reached."""

    what: str
    wanted: str
    reached: Rate | Ranked
    met: bool

    @property
    def shown(self) -> str:
        """What was reached, with its interval."""
        if isinstance(self.reached, Rate):
            return self.reached.shown
        found = self.reached
        return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f}), {found.count} runs"

    @property
    def judged(self) -> str:
        """Whether it is met; nobody knows where nothing was measured."""
        return "unknown" if math.isnan(self.reached.value) else "yes" if self.met else "no"


def targets(runs: Sequence[Judged]) -> list[Target]:
    """The issue's targets on trained runs."""
    full = list(_answers(runs, "100%"))
    fifth = list(_answers(runs, "20%"))
    late = list(_answers(runs, "onset"))
    healthy = [run for run in runs if run.kind == "healthy" and "-max" not in run.name]
    return [
        _at_least("named first, full strength", 0.9, (a.first for a in full)),
        _at_least(f"among the first {AMONG}, full strength", 0.95, (a.among for a in full)),
        _at_least(f"among the first {AMONG}, a fifth", 0.8, (a.among for a in fifth)),
        _at_least(
            "seen within 20 steps of a late onset",
            0.9,
            (a.delay.steps is not None and not a.delay.before for a in late),
        ),
        _at_most("healthy runs with an error", 0.01, (bool(run.errors) for run in healthy)),
        _correlated("claimed and gained, all", runs, 0.8),
        _correlated("claimed and gained, what spoils the gradient", _of(runs, earns=False), 0.8),
        _correlated("claimed and gained, what spoils the rollouts", _of(runs, earns=True), 0.8),
    ]


def _of(runs: Iterable[Judged], *, earns: bool) -> list[Judged]:
    """Runs of which all faults, or none, keep rollouts from being right at once."""
    return [
        run
        for run in runs
        if run.answers and all((a.fault in AT_ONCE) is earns for a in run.answers)
    ]


def _answers(runs: Iterable[Judged], kind: str, fault: str | None = None) -> Iterable[Answer]:
    for run in runs:
        if run.kind == kind:
            yield from (a for a in run.answers if fault is None or a.fault == fault)


def _at_least(what: str, wanted: float, answers: Iterable[bool]) -> Target:
    reached = rate_of(answers)
    return Target(
        what=what, wanted=f">= {wanted:.0%}", reached=reached, met=reached.value >= wanted
    )


def _at_most(what: str, wanted: float, answers: Iterable[bool]) -> Target:
    reached = rate_of(answers)
    return Target(
        what=what, wanted=f"<= {wanted:.0%}", reached=reached, met=reached.value <= wanted
    )


def _correlated(what: str, runs: Sequence[Judged], wanted: float) -> Target:
    compared = [run for run in runs if run.gained is not None]
    reached = rank_correlation(
        [run.claimed for run in compared], [run.gained or 0.0 for run in compared]
    )
    return Target(
        what=f"rank correlation of {what}",
        wanted=f">= {wanted}",
        reached=reached,
        met=reached.value >= wanted,
    )


def by_fault(runs: Sequence[Judged]) -> list[list[str]]:
    """A row a fault: at each kind, how often first / among the first, of how many runs."""
    rows = []
    for name in FAULTS:
        cells = [_cell(list(_answers(runs, kind, name))) for kind in KINDS]
        if any(cell != "-" for cell in cells):
            rows.append([name, *cells, _delays(runs, name)])
    return rows


def _cell(answers: Sequence[Answer]) -> str:
    if not answers:
        return "-"
    first, among = sum(a.first for a in answers), sum(a.among for a in answers)
    return f"{first}, {among} of {len(answers)}"


def _delays(runs: Sequence[Judged], name: str) -> str:
    """Steps from the onset until it is named, of full strength, late or not."""
    answers = [a for kind in ("100%", "onset") for a in _answers(runs, kind, name)]
    shown = ["never" if a.delay.steps is None else str(a.delay.steps) for a in answers]
    return " ".join(sorted(shown, key=lambda text: (text == "never", text.zfill(3))))


def misses(runs: Sequence[Judged]) -> list[list[str]]:
    """Runs whose fault does not stand first: where it stands, and what was said."""
    return [
        [run.name, answer.fault, str(answer.place or "-"), _said(run)]
        for run in runs
        for answer in run.answers
        if not (answer.first or (run.kind == "pair" and answer.among))
    ]


def _said(run: Judged) -> str:
    said = ", ".join(f"{code} ({severity})" for severity, code in run.findings[:AMONG])
    ended = f"; ended by {run.ended_by}" if run.ended_by else ""
    return (said or "nothing") + ended


def healthy(runs: Sequence[Judged]) -> list[list[str]]:
    """What was said of runs without a fault."""
    return [[run.name, f"{run.rollouts:,}", _said(run)] for run in runs if run.kind == "healthy"]


Page = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def pages(runs: Sequence[Judged]) -> list[Page]:
    """Title, head and rows of each table."""
    goals = [[t.what, t.wanted, t.shown, t.judged] for t in targets(runs)]
    kinds = [f"{kind}: first, among {AMONG}" for kind in KINDS]
    return [
        ("Targets", ("what", "target", "reached", "met"), goals),
        ("By fault", ("fault", *kinds, "steps until seen"), by_fault(runs)),
        ("Not first", ("run", "fault", "place", "what was said"), misses(runs)),
        ("Healthy", ("run", "rollouts", "what was said"), healthy(runs)),
        ("Faults", ("fault", "what happens", "a share of the", "named by"), catalogue()),
    ]


def catalogue() -> list[list[str]]:
    """What each fault is."""
    return [
        [kind.name, kind.does, kind.unit if kind.shares else "-", ", ".join(kind.codes)]
        for kind in FAULTS.values()
    ]


def show(judged: Path, *, as_json: bool, markdown: bool, picture: Path | None) -> None:
    """Judge the runs of a folder, or read what --json has printed, and print what came of it."""
    if judged.is_file():
        runs = from_plain(json.loads(judged.read_text())["runs"])
    else:
        runs = judge_all(judged)
    if picture is not None:
        save_picture(plot(runs), picture / PICTURE)
    if as_json:
        print(json.dumps(document(runs), indent=1))
        return
    console = Console()
    for title, head, rows in pages(runs):
        if markdown:
            print("\n".join(_markdown(title, head, rows)))
        else:
            console.print(_table(title, head, rows))


def document(runs: Sequence[Judged]) -> dict[str, Any]:
    """Everything, for --json."""
    return {"targets": [asdict(target) for target in targets(runs)], "runs": plain(runs)}


def _markdown(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"### {title}", "", _line(head), "|---" * len(head) + "|"]
    return [*lines, *map(_line, rows), ""]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*head, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def plot(runs: Sequence[Judged]) -> Picture:
    """How often each kind of run has its cause first and among the first."""
    asked: tuple[tuple[str, Callable[[Answer], bool]], ...] = (
        ("the cause stands first", lambda answer: answer.first),
        (f"the cause is among the first {AMONG}", lambda answer: answer.among),
    )
    panels = []
    for title, right in asked:
        rates = {kind: rate_of(map(right, _answers(runs, kind))) for kind in KINDS}
        known = {kind: rate for kind, rate in rates.items() if rate.trials}
        panels.append(
            DotPanel(
                title=title,
                values={f"{kind}, {r.trials}": r.value for kind, r in known.items()},
                intervals={f"{k}, {r.trials}": (r.low, r.high) for k, r in known.items()},
                x_label="share, with its interval of 95 %",
            )
        )
    return Picture(
        title="How often the diagnosis names the cause of a fault, in real trainings",
        panels=panels,
        note="5%, 20%, 100%: share of what is hit, from the first step on; onset: everything,"
        " from the middle on; pair: two faults at once, of which one can stand first."
        " Behind each, how many faults.",
    )
