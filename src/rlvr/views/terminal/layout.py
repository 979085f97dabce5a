"""The few building blocks of every page: facts, tables, commands."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

GOOD = "green"
BAD = "bold yellow"


def table(*columns: str, left: Sequence[str] = ()) -> Table:
    """An empty table without lines. Columns named in `left` hold text, the others numbers."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        text = column in left
        shown.add_column(column, justify="left" if text else "right", no_wrap=True, overflow="fold")
    return shown


def facts(pairs: Iterable[tuple[str, RenderableType | None]]) -> Table:
    """Names and values in two columns; what is None is left out, long values wrap."""
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            shown.add_row(name, value)
    return shown


def verdict(agrees: bool | None, otherwise: str) -> Text:
    """Whether two numbers agree: a mark and a word, so that colour is never alone."""
    if agrees is None:
        return Text(otherwise, style="dim")
    return Text("✓ agrees", style=GOOD) if agrees else Text(f"✗ {otherwise}", style=BAD)


def warning(text: str) -> Text:
    """A line that nobody should miss."""
    return Text(f"⚠ {text}", style=BAD)


def commands(lines: Iterable[tuple[str, str]]) -> Table:
    """Commands to type next, each with what it shows."""
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(style="cyan", no_wrap=True, overflow="ignore")
    shown.add_column(style="dim", overflow="fold")
    for command, meaning in lines:
        shown.add_row(Text(f"  {command}"), Text(meaning))
    return shown
