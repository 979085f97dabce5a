"""What a search found: each trajectory with the line that matches, and how to open it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from rlvr.runs.search import SearchHit, SearchPage
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import inert, joined, number, plural


@dataclass(frozen=True, slots=True)
class SearchView:
    """Three lines for each trajectory; matches are in reverse, or between « and » without style.

    `commands` open the hits; `offset` counts those before them.
    """

    found: SearchPage
    commands: Sequence[str]
    offset: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The hits, and how many there are."""
        plain = not console.is_terminal or console.color_system is None
        for hit, command in zip(self.found.hits, self.commands, strict=True):
            yield _head(hit)
            if hit.context:
                yield _line(hit, plain=plain)
            yield Text(f"  {command}", style="cyan", no_wrap=True, overflow="ignore")
            yield Text()
        yield Text(self._footer(), style="dim")

    def _footer(self) -> str:
        first, last = self.offset + 1, self.offset + len(self.found.hits)
        of_all = plural(self.found.searched, "rollout")
        which = f"{first:,} to {last:,} of {self.found.total:,}"
        order = f"by {self.found.sort}"
        more = f"--offset {last} shows more" if last < self.found.total else ""
        return joined((f"{which} found in {of_all}, {order}", more), "; ")


def _head(hit: SearchHit) -> Text:
    head = Text(hit.id, style="bold")
    where = "" if hit.role is None else str(hit.role)
    if hit.turn is not None:
        where += f" at turn {hit.turn}"
    counts = ""
    if hit.matches > 1:
        texts = f" in {hit.texts:,} texts" if hit.texts > 1 else ""
        counts = f"{hit.matches:,} matches{texts}"
    facts = (f"step {hit.step}", f"reward {number(hit.reward)}", where, counts)
    head.append(f"  {joined(facts)}", "not bold dim")
    if hit.superseded:
        head.append("  superseded", layout.BAD)
    return head


def _line(hit: SearchHit, *, plain: bool) -> Text:
    line = Text("  ", overflow="fold")
    at = 0
    for start, stop in hit.marks:
        line.append(inert(hit.context[at:start]))
        match = inert(hit.context[start:stop])
        line.append(f"«{match}»" if plain else match, "" if plain else "bold reverse")
        at = stop
    line.append(inert(hit.context[at:]))
    return line
