"""Runs of a folder, and trajectories of a run, one a line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from rlvr.codec import dump_plain
from rlvr.record import Json
from rlvr.utils.sizes import size_text
from rlvr.views.terminal import layout
from rlvr.views.terminal.settings import when
from rlvr.views.terminal.text import NOT_RECORDED, joined, number, one_line, plural

WIDE = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """What a list says of one run. Rewards are the mean of the first and of the last step.

    `kind` is "training" or "evaluation", None where nobody can tell. `values` are those that were
    asked for by name, and `problem` is what can't be read of it.
    """

    id: str
    place: str
    steps: int
    trajectories: int
    state: str
    size_bytes: int
    name: str | None = None
    model: str | None = None
    trainer: str | None = None
    started_at: float | None = None
    first_reward: float | None = None
    last_reward: float | None = None
    repairs_on: int | None = None
    repairs_off: int | None = None
    kind: str | None = None
    values: Mapping[str, Json] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryLine:
    """What a list says of one trajectory."""

    id: str
    mode: str
    step: int
    group_id: str
    sample: int
    reward: float | None = None
    advantage: float | None = None
    turns: int | None = None
    tool_calls: int | None = None
    tool_errors: int | None = None
    stop_reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunList:
    """One line for each run where there is room, else two."""

    runs: Sequence[RunLine]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A line of columns, with the rest beside it or beneath it."""
        columns = ("run", "name", "steps", "rollouts", "reward", "repairs")
        further = ("kind", "model", "trainer", "started", "size", "state")
        if options.max_width >= WIDE:
            text = ("run", "name", "reward", "repairs", *further)
            shown = layout.table(*columns, *further, left=text)
            for run in self.runs:
                shown.add_row(*_first(run, 40), *(Text(value) for value in _further(run)))
            yield shown
            return
        shown = layout.table(*columns, left=("run", "name", "reward", "repairs"))
        for run in self.runs:
            shown.add_row(*_first(run, 14))
        # Widths are those of the whole table; the second line of each run goes between its rows.
        rows = console.render_lines(shown, options, pad=False)
        for at, row in enumerate(rows):
            yield from row
            yield Text()
            if at:
                yield Text("  " + joined(_further(self.runs[at - 1])), style="dim")


@dataclass(frozen=True, slots=True)
class RunTable:
    """A row for each run with the values that were asked for, by their names."""

    ids: Sequence[str]
    names: Sequence[str]
    rows: Sequence[Sequence[Json]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table."""
        heads = [one_line(name, 40) for name in self.names]
        texts = [
            head
            for at, head in enumerate(heads)
            if any(isinstance(row[at], str) for row in self.rows)
        ]
        shown = layout.table("run", *heads, left=("run", *texts))
        for id, row in zip(self.ids, self.rows, strict=True):
            cells = (_cell(name, value) for name, value in zip(self.names, row, strict=True))
            shown.add_row(Text(id, style="bold"), *cells)
        yield shown


@dataclass(frozen=True, slots=True)
class TrajectoryList:
    """A row for each trajectory; `total` counts those that matched, `offset` those before these.

    Where the line is short, step and sample stay away: the id tells the step.
    """

    lines: Sequence[TrajectoryLine]
    total: int
    offset: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, and how much more there is."""
        wide = options.max_width >= WIDE
        identity = ("id", "step", "sample") if wide else ("id",)
        columns = (*identity, "reward", "advantage", "turns", "calls", "stop")
        shown = layout.table(*columns, left=("id", "stop"))
        for line in self.lines:
            where = (number(line.step), number(line.sample)) if wide else ()
            calls = number(line.tool_calls)
            if line.tool_errors:
                calls += f" ({line.tool_errors}✗)" if wide else "✗"
            shown.add_row(
                Text(line.id),
                *where,
                number(line.reward),
                number(line.advantage, sign=True),
                number(line.turns),
                calls,
                Text(one_line(line.stop_reason or NOT_RECORDED, 40 if wide else 9)),
            )
        yield shown
        if not wide and any(line.tool_errors for line in self.lines):
            yield Text("✗ some of the calls failed", style="dim")
        if self.total > len(self.lines):
            of_all = plural(self.total, "trajectory", "trajectories")
            yield Text(f"{self._which} of {of_all}; --limit shows more", style="dim")

    @property
    def _which(self) -> str:
        last = self.offset + len(self.lines)
        return f"{self.offset + 1:,} to {last:,}" if self.offset else f"{last:,}"


def _cell(name: str, value: Json) -> str:
    if name == "started" and isinstance(value, float):
        return when(value)
    if name == "size" and isinstance(value, int):
        return size_text(value)
    if value is None:
        return NOT_RECORDED
    if isinstance(value, float):
        return f"{value:.4g}"
    return one_line(value if isinstance(value, str) else dump_plain(value), 60)


def _first(run: RunLine, room: int) -> Iterator[RenderableType]:
    yield Text(run.id, style="bold")
    yield Text(one_line(run.name or "", room))
    yield number(run.steps)
    yield number(run.trajectories)
    yield Text(f"{number(run.first_reward)} → {number(run.last_reward)}")
    yield _repairs(run)


def _further(run: RunLine) -> tuple[str, ...]:
    return (
        run.kind or NOT_RECORDED,
        one_line(run.model or NOT_RECORDED, 60),
        one_line(run.trainer or NOT_RECORDED, 40),
        when(run.started_at),
        size_text(run.size_bytes),
        one_line(run.state, 80),
    )


def _repairs(run: RunLine) -> Text:
    if run.repairs_on is None or run.repairs_off is None:
        return Text(NOT_RECORDED)
    if not run.repairs_on:
        return Text("all off", style=layout.BAD)
    if not run.repairs_off:
        return Text("all on", style=layout.GOOD)
    return Text(f"{run.repairs_off} off", style=layout.BAD)
