"""The figures as tables and curves."""

from collections.abc import Iterator, Sequence

from benchmarks.out_of_the_way.case import Cost
from benchmarks.out_of_the_way.figures import Figures
from benchmarks.out_of_the_way.long_run import LongRun
from benchmarks.out_of_the_way.targets import BASE, targets
from rich.console import RenderableType
from rich.table import Table

from rlvr.views.terminal.curves import Curves

NAMES = {
    "rlvr": "rlvr",
    "jsonl+zstd": "JSONL + zstd",
    "jsonl": "JSONL",
    "trl": "TRL's Parquet",
    "wandb": "W&B table",
    "inspect": "Inspect's log",
}


def pages(figures: Figures) -> Iterator[RenderableType]:
    """Every table, the targets last."""
    for workload, ways in figures.costs.items():
        yield _writing(workload, ways)
    if figures.felt:
        yield _training(figures)
    if figures.long:
        yield drift(figures.long)
    yield _targets(figures)


def _writing(workload: str, ways: dict[str, Cost]) -> Table:
    count = ways["rlvr"].trajectories
    page = _table(
        f"Writing a step of {workload}",
        ("waits ms", "on disk ms", "CPU ms", "ratio", "MB", "ratio", "peak MB"),
    )
    base = ways[BASE]
    for way, cost in ways.items():
        scale = count / cost.trajectories
        page.add_row(
            NAMES[way] + ("" if scale == 1 else " (scaled)"),
            _number(cost.held_up_s * scale * 1e3),
            _number(cost.wall_s * scale * 1e3),
            _number(cost.cpu_s * scale * 1e3),
            f"{cost.cpu_s / cost.trajectories / (base.cpu_s / base.trajectories):.2f}",
            f"{cost.disk_bytes * scale / 1e6:,.2f}",
            f"{cost.disk_bytes / cost.trajectories / (base.disk_bytes / base.trajectories):.2f}",
            _number(cost.peak_bytes / 1e6) if scale == 1 else "-",
        )
    return page


def _training(figures: Figures) -> Table:
    page = _table(
        "A training step with recording and without",
        ("without s", "with s", "added ms", "quartiles", "waits ms", "GIL ms", "slower", "disk s"),
    )
    for workload, felt in figures.felt.items():
        low, high = felt.added_quartiles_s
        page.add_row(
            workload,
            f"{felt.plain_s:.2f}",
            f"{felt.recorded_s:.2f}",
            _number(felt.added_s * 1e3),
            f"{low * 1e3:,.0f} to {high * 1e3:,.0f}",
            f"{felt.held_up_s * 1e3:,.1f}",
            _number(felt.gil_s * 1e3),
            f"{felt.slowdown:.0%}",
            f"{felt.writing_s:.2f}",
        )
    return page


def drift(long: LongRun) -> Curves:
    """Median processor time along the run."""
    return Curves(
        series={
            "hand-over": [(window.step, window.held_up_s * 1e3) for window in long.curve],
            "writer": [(window.step, window.writer_s * 1e3) for window in long.curve],
        },
        title=f"Processor time of a small step over {long.steps:,} steps, ms "
        f"({long.files:,} files at the end)",
    )


def _targets(figures: Figures) -> Table:
    page = _table("Targets", ("found", "wanted", ""))
    for target in targets(figures.costs, figures.crowded, figures.felt, figures.long):
        page.add_row(target.what, target.found, target.wanted, "met" if target.met else "MISSED")
    return page


def _table(title: str, heads: Sequence[str]) -> Table:
    page = Table(title=title, title_justify="left")
    page.add_column("", no_wrap=True)
    for head in heads:
        page.add_column(head, justify="right", no_wrap=True)
    return page


def _number(value: float) -> str:
    return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"
