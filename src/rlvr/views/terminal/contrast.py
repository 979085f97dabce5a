"""What separates success from failure, and pairs of rollouts beside each other."""

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from rlvr.analysis.contrast import Action, AlignedRow, Contrast, Effect, Sibling, Split
from rlvr.analysis.contrast.effects import ALPHA, ENOUGH
from rlvr.analysis.outcome import Measure
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, inert, joined, number, one_line, plural, share

WIDE = 100
"""Columns from which on a line has room for intervals and counts of groups."""

MOST_ACTIONS = 14
"""Actions of a pair that are shown before and after the first that differs."""

_NAME = 66
_NUMBERS, _FEW_NUMBERS = 76, 50
"""Cells that the numbers of a row take at most, with intervals and groups, and without."""

_PIPE_CELL = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What was compared, for the head of the page. `read` groups had their messages read: of the
    informative ones, `rollouts` of so many `steps` and `prompts`."""

    title: str
    mode: str
    measure: Measure
    recorded: int
    unscored: int
    split: Split
    read: int
    rollouts: int
    steps: int
    prompts: int
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """A pair as it is shown; `run` is how a command names the run."""

    run: str
    group_id: str
    step: int
    success: Sibling
    failure: Sibling
    rows: Sequence[AlignedRow]
    first_difference: int | None


def contrast_view(
    scope: Scope, found: Contrast, pairs: Sequence[ShownPair], *, shown: Sequence[Effect]
) -> Group:
    """The whole page; of the effects those that are `shown`."""
    return Group(
        *_head(scope),
        *_effects(found, shown),
        *_rest(found, shown),
        *(part for pair in pairs for part in _pair(pair)),
        *_next(pairs),
    )


def success_text(measure: Measure) -> str:
    """What counts as success, in words."""
    from_value = "above the mean of its group"
    if measure.threshold is not None:
        from_value = f"at least {number(measure.threshold)}"
    name = "the total reward" if measure.component is None else measure.name
    return f"{one_line(name, 80)} {from_value} ({measure.why})"


def _head(scope: Scope) -> Iterator[RenderableType]:
    split = scope.split
    yield Text(scope.title, style="bold")
    silent = (
        f"{split.equal:,} all equal" if split.equal else "",
        f"{split.one_sided:,} on one side" if split.one_sided else "",
        f"{split.alone:,} without a scored sibling" if split.alone else "",
    )
    groups = f"{split.informative_groups:,} of {plural(split.groups, 'group')} have both"
    portion = (
        ""
        if scope.read == split.informative_groups
        else ", spread evenly over the steps that have their messages"
    )
    yield layout.facts(
        (
            ("success", Text(success_text(scope.measure))),
            ("rollouts", Text(joined((f"{scope.recorded:,} of mode {scope.mode}", _not(scope))))),
            ("groups", Text(joined((groups, *silent)))),
            (
                "read",
                Text(
                    f"{scope.read:,} of these {split.informative_groups:,}: "
                    f"{plural(scope.rollouts, 'rollout')} of {plural(scope.steps, 'step')}"
                    f" and {plural(scope.prompts, 'prompt')}{portion}"
                ),
            ),
        )
    )
    for remark in scope.remarks:
        yield layout.warning(one_line(remark, 300))


def _not(scope: Scope) -> str:
    return f"{scope.unscored:,} without a score" if scope.unscored else ""


def _effects(found: Contrast, shown: Sequence[Effect]) -> Iterator[RenderableType]:
    tested, surviving = len(found.effects), len(found.surviving)
    note = f"{surviving} of {tested} features differ, q ≤ {share(ALPHA)}"
    yield heading("Success beside failure of the same prompt", note)
    if not tested:
        yield Text("no feature varies within enough groups to be compared", style="dim")
        return
    if not surviving:
        yield Text(
            "No difference survives the correction for many comparisons; these come nearest.",
            style="dim",
        )
    yield _Effects(shown)
    yield Text(
        "What goes with success, not what causes it. Means and differences are within groups;"
        " intervals of 95%; sd: in standard deviations within groups.",
        style="dim",
    )


@dataclass(frozen=True, slots=True)
class _Effects:
    """A row for each effect; without room the interval and the groups stay away."""

    effects: Sequence[Effect]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE
        room = min(max(options.max_width - (_NUMBERS if wide else _FEW_NUMBERS), 20), _NAME)
        further = ("95% interval", "groups") if wide else ()
        columns = ("feature", "success", "failure", "difference", *further[:1], "sd", "q")
        shown = layout.table(*columns, *further[1:], left=("feature",))
        for effect in self.effects:
            shown.add_row(*_row(effect, wide, room), style="" if effect.survives else "dim")
        yield shown


def _row(effect: Effect, wide: bool, room: int) -> Iterator[RenderableType]:
    alike = f" (as {', '.join(effect.same_as)})" if effect.same_as else ""
    yield Text(one_line(effect.feature.name + alike, room))
    yield mean_text(effect, effect.success)
    yield mean_text(effect, effect.failure)
    yield Text(difference_text(effect), style=_colour(effect))
    if wide:
        yield interval_text(effect)
    yield number(effect.standardised, 2, sign=True)
    yield small(effect.q)
    if wide:
        yield f"{effect.groups:,}"


def _colour(effect: Effect) -> str:
    if not effect.survives:
        return ""
    return layout.GOOD if effect.difference > 0 else layout.BAD


def mean_text(effect: Effect, value: float) -> str:
    """A mean of the effect's feature."""
    return share(value) if effect.feature.kind.as_share else number(value, _digits(value))


def difference_text(effect: Effect) -> str:
    """Success minus failure, with its unit."""
    return _difference(effect, effect.difference, unit=True)


def interval_text(effect: Effect) -> str:
    """The interval of the difference."""
    bounds = (_difference(effect, bound, unit=False) for bound in (effect.low, effect.high))
    return f"[{', '.join(bounds)}]"


def _difference(effect: Effect, value: float, *, unit: bool) -> str:
    if math.isnan(value):
        return "?"
    if effect.feature.kind.as_share:
        return f"{value * 100:+.1f}{' points' if unit else ''}"
    return number(value, _digits(effect.difference), sign=True)


def _digits(value: float) -> int:
    return 1 if abs(value) >= 20 else 2


def small(q: float) -> str:
    """A q-value or p-value for people."""
    return "<0.001" if q < 0.001 else f"{q:.3f}" if q < 0.1 else f"{q:.2f}"


def _rest(found: Contrast, shown: Sequence[Effect]) -> Iterator[RenderableType]:
    hidden = sum(effect.survives for effect in found.effects) - sum(e.survives for e in shown)
    if hidden > 0:
        yield Text(f"{hidden} more differences; --limit shows more", style="dim")
    others = [effect.feature.name for effect in found.effects if not effect.survives]
    for names, what in (
        (others, "not different, as far as this sample tells"),
        (found.sparse, f"varying within the groups of fewer than {ENOUGH} prompts"),
        (found.constant, "the same within every group"),
    ):
        if names:
            some = one_line(", ".join(names), 200)
            yield Text(f"{plural(len(names), 'feature')} {what}: {some}", style="dim")
    if found.rare:
        yield Text(f"{plural(found.rare, 'rare feature')} not compared", style="dim")


def _pair(pair: ShownPair) -> Iterator[RenderableType]:
    yield heading("A typical pair", f"step {pair.step} · {one_line(pair.group_id, 80)}")
    yield _Beside(pair)


@dataclass(frozen=True, slots=True)
class _Beside:
    """Success on the left, failure on the right, the first action that differs pointed at."""

    pair: ShownPair

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cell = min(max((options.max_width - 10) // 2, 16), _PIPE_CELL)
        pair, first = self.pair, self.pair.first_difference
        shown = layout.table("", *map(_side, (pair.success, pair.failure)), left=("", "success"))
        for column in shown.columns:
            column.justify = "left"
        start, stop = _window(len(pair.rows), first)
        if start:
            shown.add_row("", f"… {plural(start, 'action')} alike", "", style="dim")
        for at in range(start, stop):
            row = pair.rows[at]
            mark = "▶" if at == first else "=" if row.same else "≠"
            style = "bold" if at == first else "dim" if row.same else ""
            shown.add_row(mark, _cell(row.left, cell), _cell(row.right, cell), style=style)
        if stop < len(pair.rows):
            shown.add_row("", f"… {len(pair.rows) - stop:,} more", "", style="dim")
        yield shown
        if first is None:
            yield Text("the same actions: what differs is not in them", style="dim")


def _window(count: int, first: int | None) -> tuple[int, int]:
    place = first or 0
    return max(0, place - MOST_ACTIONS), min(count, place + 1 + MOST_ACTIONS)


def _side(sibling: Sibling) -> str:
    return f"{'success' if sibling.success else 'failure'} {number(sibling.value)}"


def _cell(action: Action | None, room: int) -> Text:
    if action is None:
        return Text("—")
    return Text(cell_text(f"{action.turn}  {action.shown}", room))


def cell_text(text: str, room: int) -> str:
    """The text, inert, cut at so many characters."""
    shown = inert(text)
    return shown if len(shown) <= room else shown[: max(room - 1, 0)] + "…"


def _next(pairs: Sequence[ShownPair]) -> Iterator[RenderableType]:
    if not pairs:
        return
    yield heading("Next")
    for pair in pairs:
        row = pair.rows[pair.first_difference] if pair.first_difference is not None else None
        sides = (
            (pair.success, row.left if row else None),
            (pair.failure, row.right if row else None),
        )
        for sibling, action in sides:
            last = sibling.actions[-1] if sibling.actions else None
            place = action or last
            turn = "" if place is None else f" --turn {place.turn}"
            yield layout.command(f"rlvr show {pair.run} {sibling.id}{turn}", _side(sibling))
    first = pairs[0]
    yield layout.command(
        f"rlvr contrast {first.run} --group {shlex.quote(first.group_id)}",
        "all rollouts of its group",
    )
