"""The figures as tables."""

from collections.abc import Iterator, Sequence

from benchmarks.scale.ask import Answer
from benchmarks.scale.figures import Figures, Place
from benchmarks.scale.questions import QUESTIONS
from benchmarks.scale.targets import targets
from rich.console import RenderableType
from rich.table import Table

NAMES = {
    "rlvr": "rlvr",
    "duckdb": "JSONL, DuckDB",
    "trl": "TRL's Parquet, pandas",
    "inspect": "Inspect's log",
    "trackio": "Trackio",
}


def pages(figures: Figures) -> Iterator[RenderableType]:
    """Every table, the targets last."""
    for run in dict.fromkeys(place.run for place in figures.answers):
        yield _questions(figures, run)
    yield _stored(figures)
    if figures.indexed:
        yield _indexed(figures)
    yield _targets(figures)


def name_of(place: Place) -> str:
    """A way and its layout, as tables name it."""
    return NAMES[place.way] + (f", {place.layout}" if place.layout else "")


def number(value: float) -> str:
    """A number as tables show it."""
    return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"


def _questions(figures: Figures, run: str) -> Table:
    places = [place for place in figures.answers if place.run == run]
    page = _table(
        f"{run} rollouts: processor ms of the first answer / of further ones",
        [name_of(place) for place in places],
    )
    for question, what in QUESTIONS.items():
        cells = [_cell(figures.answers[place].get(question)) for place in places]
        if any(cells):
            page.add_row(what, *cells)
    page.add_row("memory at its highest, MB", *(_peak(figures.answers[p]) for p in places))
    return page


def _cell(answer: Answer | None) -> str:
    if answer is None:
        return ""
    if answer.question == "open":
        return number(answer.open_cpu_s * 1e3)
    first, again = number(answer.first_cpu_s * 1e3), number(answer.again_cpu_s * 1e3)
    return first if first == again else f"{first} / {again}"


def _peak(answers: dict[str, Answer]) -> str:
    return f"{max(answer.peak_bytes for answer in answers.values()) / 1e6:,.0f}"


def _stored(figures: Figures) -> Table:
    page = _table("On disk", ("files", "MB", "bytes a rollout", "made in, CPU s"))
    for place, stored in figures.stored.items():
        page.add_row(
            f"{place.run}: {name_of(place)}",
            f"{stored.files:,}",
            f"{stored.bytes / 1e6:,.1f}",
            f"{stored.bytes / stored.rollouts:,.0f}" if stored.rollouts else "",
            number(stored.made_cpu_s) if stored.made_cpu_s else "",
        )
    return page


def _indexed(figures: Figures) -> Table:
    page = _table("Indexing for search", ("CPU s", "s", "MB/CPU-s", "index, MB", "peak MB"))
    for place, indexed in figures.indexed.items():
        page.add_row(
            f"{place.run}: {name_of(place)}",
            number(indexed.cpu_s),
            number(indexed.seconds),
            f"{indexed.text_bytes / 1e6 / indexed.cpu_s:.1f}",
            f"{indexed.index_bytes / 1e6:,.1f}",
            f"{indexed.peak_bytes / 1e6:,.0f}",
        )
    return page


def _targets(figures: Figures) -> Table:
    page = _table("Targets", ("found", "wanted", ""))
    for target in targets(figures):
        page.add_row(target.what, target.found, target.wanted, "met" if target.met else "MISSED")
    return page


def _table(title: str, heads: Sequence[str]) -> Table:
    page = Table(title=title, title_justify="left")
    page.add_column("", no_wrap=True)
    for head in heads:
        page.add_column(head, justify="right")
    return page
