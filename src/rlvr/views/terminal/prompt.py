"""One example over the steps, and the list of examples."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from rlvr.analysis.histories import Change, Course, Visit
from rlvr.analysis.outcome import Measure
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import BARS
from rlvr.views.terminal.text import (
    NOT_RECORDED,
    heading,
    joined,
    number,
    one_line,
    plural,
    share,
)

WIDE = 120

_TITLES = {"train": "Training", "eval": "Evaluation"}
_COLOURS = {Change.LEARNT: layout.GOOD, Change.FORGOTTEN: layout.BAD, Change.NEVER: layout.BAD}
_PIPE_CELL = 70
_PRUNED = "its messages are gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAnswer:
    """An answer of one visit: of `rollouts` that gave it, `solved` are right."""

    text: str
    rollouts: int
    solved: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHistory:
    """One mode of an example; of its `total` visits those from `offset` on that are shown.

    `first` and `last` are the answers of its first and last visit, `first_step` and `last_step`
    their steps.
    """

    mode: str
    course: Course
    visits: Sequence[Visit]
    total: int
    outputs: int | None
    first: Sequence[ShownAnswer]
    last: Sequence[ShownAnswer]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLine:
    """What the list says of one example."""

    course: Course
    question: str | None


def solved_text(measure: Measure, solved_from: float) -> str:
    """What solves an example, in words."""
    name = "the total reward" if measure.component is None else one_line(measure.name, 80)
    full = name if measure.threshold is not None else f"the full {name.removeprefix('the ')}"
    return f"{full}, at least {number(solved_from)} ({measure.why})"


def share_line(shares: Sequence[float], *, width: int = 24) -> str:
    """Shares as bars from 0 to 1; "·" where there is none."""
    count = len(shares)
    bins = min(count, width)
    line = ""
    for at in range(bins):
        part = shares[at * count // bins : (at + 1) * count // bins]
        known = [value for value in part if math.isfinite(value)]
        mean = sum(known) / len(known) if known else math.nan
        line += "·" if math.isnan(mean) else BARS[min(int(mean * len(BARS)), len(BARS) - 1)]
    return line


def prompt_view(
    name: str,
    histories: Sequence[ShownHistory],
    *,
    run: str,
    solved_by: str,
    question: str | None,
    answer: str | None,
) -> Group:
    """The page of one example."""
    return Group(
        Text(one_line(name, 200), style="bold"),
        layout.facts(
            (
                ("question", None if question is None else Text(one_line(question, 600))),
                ("answer", None if answer is None else Text(one_line(answer, 400))),
                ("solved", Text(solved_by)),
            )
        ),
        *(part for history in histories for part in _history(history)),
        *_next(histories, run),
    )


def _history(history: ShownHistory) -> Iterator[RenderableType]:
    course = history.course
    first, last = course.steps[0], course.steps[-1]
    span = f"step {first}" if first == last else f"steps {first} to {last}"
    parts = (plural(history.total, "visit"), span, plural(course.rollouts, "rollout"))
    yield heading(_TITLES[history.mode], joined(parts))
    yield layout.facts(
        (
            ("solved", Text(f"{share_line(course.shares, width=48)}  {_ends(course)}")),
            ("change", Text(_change(course), style=_COLOURS.get(course.change, ""))),
            ("first solved", Text(_step(course.first_solved))),
            ("lost again", _lost(course)),
            ("outputs", Text(f"{number(history.outputs)} different of {course.rollouts:,}")),
        )
    )
    yield Text()
    yield _Visits(history.visits)
    if history.total > len(history.visits):
        yield Text(
            f"{len(history.visits):,} of {plural(history.total, 'visit')}; --limit and --offset"
            " show others",
            style="dim",
        )
    yield Text()
    yield _Answers(history)


def _ends(course: Course) -> str:
    if len(course.steps) == 1:
        return share(course.shares[0])
    return f"{share(course.shares[0])} → {share(course.shares[-1])}"


def _change(course: Course) -> str:
    what = course.change.value
    if len(course.steps) > 1 and course.early.trials and course.late.trials:
        what += f": solved {share(course.early.value)} in the first half of the visits,"
        what += f" {share(course.late.value)} in the later"
    return what


def _step(step: int | None) -> str:
    return "never" if step is None else f"at step {step}"


def _lost(course: Course) -> Text | None:
    lost = course.lost_at
    if not lost:
        return None
    some = ", ".join(str(step) for step in lost[:8])
    more = f" and {len(lost) - 8} more" if len(lost) > 8 else ""
    last = course.last_solved
    since = f"; not since step {last}" if course.shares[-1] == 0 else ""
    return Text(f"no rollout solved it at step {some}{more}{since}")


@dataclass(frozen=True, slots=True)
class _Visits:
    """A row for each visit; columns that have no room are named beneath."""

    visits: Sequence[Visit]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = _columns(self.visits)
        kept = _fitting(columns, options.max_width)
        shown = layout.table(*(name for name in columns if name in kept), left=("stop",))
        cells = [own for name, own in columns.items() if name in kept]
        for row in zip(*cells, strict=True):
            shown.add_row(*map(Text, row))
        yield shown
        hidden = [name for name in columns if name not in kept]
        if hidden:
            yield Text(f"no room for {', '.join(hidden)}", style="dim")


_FIRST = ("step", "n", "solved", "reward", "95% interval", "calls", "tokens", "stop", "outputs")
"""Columns that get room before the others."""


def _columns(visits: Sequence[Visit]) -> dict[str, list[str]]:
    """The cells of every column, from left to right."""
    columns = {
        "step": [str(visit.step) for visit in visits],
        "n": [str(visit.rollouts) for visit in visits],
        "solved": [f"{visit.solved}/{visit.scored}" for visit in visits],
        "reward": [number(visit.reward.value) for visit in visits],
        "95% interval": list(map(_interval, visits)),
    }
    for name in dict.fromkeys(name for visit in visits for name in visit.components):
        values = [number(visit.components.get(name, math.nan), 2) for visit in visits]
        columns.setdefault(one_line(name, 24), values)
    return columns | {
        "turns": [_mean(visit.turns) for visit in visits],
        "calls": list(map(_calls, visits)),
        "tokens": [_mean(visit.tokens) for visit in visits],
        "outputs": [number(visit.outputs) for visit in visits],
        "stop": list(map(_stops, visits)),
    }


def _fitting(columns: Mapping[str, Sequence[str]], room: int) -> frozenset[str]:
    """The columns that a line of so many cells holds."""
    kept: set[str] = set()
    for name in (*_FIRST, *(name for name in columns if name not in _FIRST)):
        room -= max(cell_len(cell) for cell in (name, *columns[name])) + 2
        if room >= -2 or not kept:
            kept.add(name)
    return frozenset(kept)


def _interval(visit: Visit) -> str:
    known = math.isfinite(visit.reward.low)
    return f"[{visit.reward.low:.2f}, {visit.reward.high:.2f}]" if known else "?"


def _calls(visit: Visit) -> str:
    failed = f" ({visit.tool_errors:.1f}✗)" if visit.tool_errors > 0 else ""
    return _mean(visit.calls) + failed


def _stops(visit: Visit) -> str:
    stops = sorted(visit.stops.items(), key=lambda entry: (-entry[1], entry[0]))
    return one_line(", ".join(f"{one_line(reason, 24)} {count}" for reason, count in stops), 40)


def _mean(value: float) -> str:
    return NOT_RECORDED if math.isnan(value) else number(value, 1)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers of the first visit on the left, of the last on the right."""

    history: ShownHistory

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        history, steps = self.history, self.history.course.steps
        room = min(max((options.max_width - 16) // 2, 16), _PIPE_CELL)
        sides = [history.first, history.last]
        titles = [f"answers at step {steps[0]}", f"answers at step {steps[-1]}"]
        if len(steps) == 1:
            sides, titles, room = sides[:1], titles[:1], 2 * room
        shown = layout.table(*titles, left=tuple(titles))
        cells = [
            [_answer(one, room) for one in side] or [Text(_PRUNED, style="dim")] for side in sides
        ]
        for row in zip_longest(*cells, fillvalue=Text()):
            shown.add_row(*row)
        yield shown


def _answer(answer: ShownAnswer, room: int) -> Text:
    right = answer.solved == answer.rollouts
    mark = "✓" if right else f"{answer.solved}✓" if answer.solved else "✗"
    text = Text(f"{answer.rollouts}× ", style="dim")
    text.append(mark, f"not dim {layout.GOOD if answer.solved else layout.BAD}")
    return text.append(f" {one_line(answer.text, room)}", "not dim")


def _next(histories: Sequence[ShownHistory], run: str) -> Iterator[RenderableType]:
    yield heading("Next")
    for history in histories:
        steps = history.course.steps
        for step, answers in ((steps[0], history.first), (steps[-1], history.last)):
            if answers:
                what = f"{history.mode} at step {step}: {one_line(answers[0].text, 40)}"
                yield layout.command(f"rlvr show {run} {answers[0].id}", what)
    train = histories[0]
    if train.visits:
        last = train.visits[-1]
        yield layout.command(
            f"rlvr contrast {run} --group {shlex.quote(last.group_id)}",
            f"its rollouts at step {last.step}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptList:
    """The examples of one mode; `counts` says how many changed in which way, of all."""

    title: str
    run: str
    mode: str
    solved_by: str
    lines: Sequence[PromptLine]
    counts: Mapping[str, int]
    total: int
    offset: int
    examples: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, and how to open one of them."""
        said = (f"{count:,} {name}" for name, count in self.counts.items() if count)
        yield Text(self.title, style="bold")
        yield layout.facts(
            (
                ("solved", Text(self.solved_by)),
                (self.mode, Text(joined((plural(self.examples, "example"), *said)))),
            )
        )
        yield Text()
        wide = options.max_width >= WIDE
        columns = ("example", "visits", "rollouts", "early", "late", "change", "solved")
        left = ("example", "change", "solved", "question")
        shown = layout.table(*columns, *(("question",) if wide else ()), left=left)
        for line in self.lines:
            shown.add_row(*_line(line, wide))
        yield shown
        if self.total > len(self.lines):
            last = self.offset + len(self.lines)
            further = f"; --offset {last} shows the next" if last < self.total else ""
            yield Text(f"{self.offset + 1:,} to {last:,} of {self.total:,}{further}", style="dim")
        yield heading("Next")
        if self.lines:
            name = self.lines[0].course.example
            yield layout.command(
                f"rlvr prompt {self.run} {shlex.quote(one_line(name, 200))}",
                "one example over the steps",
            )


def _line(line: PromptLine, wide: bool) -> Iterator[RenderableType]:
    course = line.course
    yield Text(one_line(course.example, 60 if wide else 34))
    yield f"{len(course.steps):,}"
    yield f"{course.rollouts:,}"
    yield share(course.early.value) if course.early.trials else "?"
    yield share(course.late.value) if course.late.trials else "?"
    yield Text(course.change.value, style=_COLOURS.get(course.change, ""))
    yield share_line(course.shares, width=24 if wide else 12)
    if wide:
        yield Text(one_line(line.question or "", 70))
