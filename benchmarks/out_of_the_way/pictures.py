"""Two pictures of the figures for docs/cost.md: the ratios as bars, and the long run's curve."""

import re
from pathlib import Path

from benchmarks.out_of_the_way.figures import Figures
from benchmarks.out_of_the_way.report import NAMES, drift
from benchmarks.out_of_the_way.targets import BASE
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH = 96
BAR = 36
WIDEST = 6.0


def draw(figures: Figures, folder: Path) -> None:
    """Write cost-ratios.svg and cost-long.svg."""
    if figures.costs:
        _draw(folder / "cost-ratios.svg", _bars(figures), title="processor time of writing")
    if figures.long:
        _draw(folder / "cost-long.svg", drift(figures.long), title="a run of small steps")


def _bars(figures: Figures) -> Table:
    """Processor time as multiples of JSONL + zstd; a bar that ends in > goes on."""
    page = Table.grid(padding=(0, 2))
    for workload, ways in figures.costs.items():
        base = ways[BASE].cpu_s / ways[BASE].trajectories
        page.add_row(Text(workload, style="bold"), "", "")
        for way, cost in ways.items():
            ratio = cost.cpu_s / cost.trajectories / base
            length = max(1, round(min(ratio, WIDEST) / WIDEST * BAR))
            bar = "█" * length + (">" if ratio > WIDEST else "")
            style = "green" if way == "rlvr" else "cyan"
            page.add_row(f"  {NAMES[way]}", Text(bar, style=style), f"{ratio:.2f}")
    return page


def _draw(path: Path, page: RenderableType, *, title: str) -> None:
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=WIDTH, force_terminal=True, file=nowhere)
        console.print(page)
    picture = console.export_svg(title=title)
    # Rich points to a font on another host; a picture of ours asks nobody for anything.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    path.write_text(picture.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")
