"""A histogram as a drawing: places in SVG, computed here and drawn by the templates."""

from collections.abc import Callable
from dataclasses import dataclass

from rlvr.analysis.histogram import Bar, Histogram
from rlvr.views.terminal.text import joined, number, plural

WIDTH, HEIGHT = 640.0, 150.0
TOP, BOTTOM = 16.0, 20.0
_LEAST = 2.0
_LABELLED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnBar:
    """One bar: where it is, how many it holds, what it says, and the URL of its rollouts."""

    x: str
    y: str
    width: str
    height: str
    middle: str
    count: str
    below: str
    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnHistogram:
    """A drawing, what it says in words, and what it has no bar for, with URLs."""

    bars: tuple[DrawnBar, ...]
    said: str
    others: tuple[tuple[str, str], ...]


def drawn_histogram(
    found: Histogram, *, name: str, url: Callable[[str], str] = lambda _: ""
) -> DrawnHistogram:
    """The bars of the values of `name`; `url` opens the rollouts that pass an expression."""
    highest = max((bar.count for bar in found.bars), default=0)
    room = WIDTH / max(len(found.bars), 1)
    every = -(-len(found.bars) // _LABELLED)
    bars = tuple(
        _drawn(bar, at, room=room, highest=highest, named=at % every == 0, name=name, url=url)
        for at, bar in enumerate(found.bars)
    )
    wanted = (
        (found.nan, "NaN", f"{name} is nan"),
        (found.infinite, "infinite", f"{name} > 1e308 or {name} < -1e308"),
        (found.absent, "not recorded", f"{name} is null"),
    )
    others = tuple((f"{count:,} {what}", url(where)) for count, what, where in wanted if count)
    said = joined((*(bar.label for bar in bars), *(text for text, _ in others)), "; ")
    return DrawnHistogram(bars=bars, said=f"{name}: {said or 'nothing recorded'}", others=others)


def _drawn(
    bar: Bar,
    at: int,
    *,
    room: float,
    highest: int,
    named: bool,
    name: str,
    url: Callable[[str], str],
) -> DrawnBar:
    full = HEIGHT - TOP - BOTTOM
    height = max(bar.count / highest * full, _LEAST) if bar.count else 0.0
    left, width = at * room + room * 0.08, min(room * 0.84, 60.0)
    return DrawnBar(
        x=f"{left:.1f}",
        y=f"{TOP + full - height:.1f}",
        width=f"{width:.1f}",
        height=f"{height:.1f}",
        middle=f"{left + width / 2:.1f}",
        count=number(bar.count) if bar.count else "",
        below=number(bar.low, 2) if named else "",
        label=f"{_between(bar)}: {plural(bar.count, 'rollout')}",
        url=url(_where(bar, name)) if bar.count else "",
    )


def _between(bar: Bar) -> str:
    if bar.low == bar.high:
        return number(bar.low)
    return f"{number(bar.low)} to {number(bar.high)}"


def _where(bar: Bar, name: str) -> str:
    if bar.low == bar.high:
        return f"{name} = {bar.low!r}"
    return f"{name} >= {bar.low!r} and {name} {'<=' if bar.last else '<'} {bar.high!r}"
