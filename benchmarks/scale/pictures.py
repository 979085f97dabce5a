"""A picture for docs/scale.md: how many times longer others take, on a logarithmic scale."""

import math
import re
from pathlib import Path

from benchmarks.scale.ask import Answer
from benchmarks.scale.figures import Figures, Place
from benchmarks.scale.prepare import COMPACTED
from benchmarks.scale.questions import QUESTIONS
from benchmarks.scale.report import NAMES
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 96
BAR = 40
DECADES = 5


def draw(figures: Figures, folder: Path) -> None:
    """Write scale-ratios.svg: of the largest run that every other way was asked about."""
    ways: dict[str, list[Place]] = {}
    for place in figures.answers:
        if place.way != "rlvr":
            ways.setdefault(place.run, []).append(place)
    if ways:
        run = max(ways, key=lambda name: (len(ways[name]), name))
        _draw(folder / "scale-ratios.svg", _bars(figures, run, ways[run]), title=f"{run} rollouts")


def _bars(figures: Figures, run: str, others: list[Place]) -> Table:
    """Processor time of the first answer as multiples of ours; eight blocks are tenfold."""
    page = Table.grid(padding=(0, 2))
    ours = figures.answers[Place(run=run, way="rlvr", layout=COMPACTED)]
    for question, what in QUESTIONS.items():
        if question not in ours:
            continue
        base = _seconds(ours[question])
        page.add_row(
            Text(what, style="bold"), "", Text(f"rlvr {base * 1e3:,.1f} ms", style="green")
        )
        for place in others:
            answer = figures.answers[place].get(question)
            if answer is None:
                continue
            times = _seconds(answer) / base
            share = min(max(math.log10(max(times, 1.0)) / DECADES, 0.0), 1.0)
            bar = Text("█" * max(1, round(share * BAR)), style="cyan")
            page.add_row(f"  {NAMES[place.way]}", bar, f"{times:,.1f} times")
    return page


def _seconds(answer: Answer) -> float:
    return answer.open_cpu_s if answer.question == "open" else answer.first_cpu_s


def _draw(path: Path, page: Table, *, title: str) -> None:
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=WIDTH, force_terminal=True, file=nowhere)
        console.print(page)
    picture = console.export_svg(title=title)
    # Rich points to a font on another host; a picture of ours asks nobody for anything.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    path.write_text(picture.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")
