"""The few building blocks of every page: facts, tables, commands."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

GOOD = "green"
BAD = "bold yellow"


class TidyTable(Table):
    """A table whose lines end where their text ends, so that a pipe gets no trailing blanks."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of the table, trimmed."""
        lines = Segment.split_lines(
            part for part in super().__rich_console__(console, options) if isinstance(part, Segment)
        )
        for line in lines:
            yield from _trimmed(line)
            yield Segment.line()


def table(*columns: str, left: Sequence[str] = ()) -> Table:
    """An empty table without lines. Columns named in `left` hold text, the others numbers."""
    shown = TidyTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        text = column in left
        shown.add_column(column, justify="left" if text else "right", no_wrap=True, overflow="fold")
    return shown


def facts(pairs: Iterable[tuple[RenderableType, RenderableType | None]]) -> Table:
    """Names and values in two columns; what is None is left out, long values wrap."""
    shown = TidyTable.grid(padding=(0, 2, 0, 0))
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


def command(text: str, meaning: str) -> Text:
    """A command to type next, with what it shows as a comment that a shell ignores."""
    shown = Text(f"  {text}", style="cyan", no_wrap=True, overflow="ignore")
    return shown.append(f"  # {meaning}", "not cyan dim")


def _trimmed(line: Sequence[Segment]) -> list[Segment]:
    kept = list(line)
    while kept and not kept[-1].text.strip():
        kept.pop()
    if kept:
        kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip())
    return kept
