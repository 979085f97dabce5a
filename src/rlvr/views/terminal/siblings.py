"""All rollouts of one group, a row each, their turns as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from rlvr.analysis.contrast import Action, Sibling, by_turn, common_prefix
from rlvr.analysis.outcome import Measure
from rlvr.views.terminal import layout
from rlvr.views.terminal.contrast import cell_text, success_text
from rlvr.views.terminal.text import heading, number, one_line, plural

_LEAST, _MOST = 20, 60
_SAME = "″"

_Turns = tuple[tuple[Action, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownGroup:
    """Rollouts of one group, best first: some of its `total`; `run` is how a command names it."""

    group_id: str
    run: str
    question: str | None
    measure: Measure
    siblings: Sequence[Sibling]
    total: int


def siblings_view(group: ShownGroup) -> Group:
    """The rollouts of a group, a row each; what all begin with stands once, above."""
    return Group(*_page(group))


def _page(group: ShownGroup) -> Iterator[RenderableType]:
    siblings = group.siblings
    turns = [by_turn(sibling.actions) for sibling in siblings]
    common = common_prefix(turns)
    yield Text(one_line(group.group_id, 200), style="bold")
    question = None if group.question is None else Text(one_line(group.question, 400))
    yield layout.facts((("question", question), ("success", Text(success_text(group.measure)))))
    yield heading("Their actions", f"{plural(len(siblings), 'rollout')}, best first")
    for at in range(common):
        yield Text(f"all begin with turn {at}: {_turn(turns[0][at])}", style="dim")
    yield _Turnwise(siblings, turns, common)
    if group.total > len(siblings):
        yield Text(f"{len(siblings):,} of {group.total:,}; --limit shows more", style="dim")
    yield from _next(siblings, turns, common, group.run)


def _next(
    siblings: Sequence[Sibling], turns: Sequence[_Turns], common: int, run: str
) -> Iterator[RenderableType]:
    yield heading("Next")
    for sibling, own in zip(siblings, turns, strict=True):
        last = min(common, len(own) - 1)
        turn = "" if last < 0 else f" --turn {last}"
        what = f"sample {sibling.sample}, {number(sibling.value)}"
        yield layout.command(f"rlvr show {run} {sibling.id}{turn}", what)


@dataclass(frozen=True, slots=True)
class _Turnwise:
    """The turns after the common ones, as many as have room. What is as in the row above, with all
    before it alike, is a mark."""

    siblings: Sequence[Sibling]
    turns: Sequence[_Turns]
    common: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        longest = max((len(own) for own in self.turns), default=0)
        room = max(options.max_width - 18, _LEAST)
        columns = max(min(longest - self.common, room // (_LEAST + 2)), 0)
        cell = min(max(room // max(columns, 1) - 2, _LEAST), _MOST)
        names = [f"turn {self.common + at}" for at in range(columns)]
        shown = layout.table("", "sample", "value", *names, left=("", *names))
        above: _Turns = ()
        for sibling, own in zip(self.siblings, self.turns, strict=True):
            mark = Text("✓", style=layout.GOOD) if sibling.success else Text("✗", style=layout.BAD)
            cells = self._cells(own, above, columns, cell)
            shown.add_row(mark, str(sibling.sample), number(sibling.value), *cells)
            above = own
        yield shown
        hidden = longest - self.common - columns
        if hidden > 0:
            yield Text(f"{plural(hidden, 'further turn')} beyond the line", style="dim")

    def _cells(self, own: _Turns, above: _Turns, columns: int, room: int) -> Iterator[Text]:
        alike = bool(above)
        for at in range(self.common, self.common + columns):
            turn = own[at] if at < len(own) else ()
            over = above[at] if at < len(above) else ()
            alike = alike and _signatures(turn) == _signatures(over)
            if not turn:
                yield Text("")
            else:
                yield Text(_SAME, style="dim") if alike else Text(cell_text(_turn(turn), room))


def _signatures(turn: Sequence[Action]) -> list[tuple[str, str]]:
    return [action.signature for action in turn]


def _turn(turn: Sequence[Action]) -> str:
    return one_line(" + ".join(action.shown for action in turn) or "nothing", 300)
