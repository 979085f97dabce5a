"""An evaluation: how far it is, and what came of it."""

import math
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlvr.analysis.passes import PassAt, PassRates
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, inert, joined, number, plural, seconds, share

_BAR = 30
_LINES = 10


class LiveEvaluation:
    """Shows how far an evaluation is: a bar on a terminal, some ten lines in a pipe.

    name: what is evaluated. console: where to; standard error unless given.
    """

    def __init__(self, name: str, *, console: Console | None = None) -> None:
        self._name = name
        self._console = console or Console(stderr=True, emoji=False, markup=False, highlight=False)
        self._started = time.monotonic()
        self._before: int | None = None
        self._said = 0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Start showing."""
        if self._console.is_terminal:
            self._live = Live(Text(), console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last frame standing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, *, done: int, total: int, scored: int, passed: int, failed: int) -> None:
        """So many of all rollouts are done; `passed` of the `scored` ones were right."""
        if self._before is None:
            self._before = done
        said = joined(
            (
                f"{done:,} of {plural(total, 'rollout')}",
                f"{share(passed / scored)} right" if scored else "",
                f"{failed:,} failed" if failed else "",
                self._time(done, total),
            ),
            "  ",
        )
        if self._live is not None:
            self._live.update(self._frame(done, total, said), refresh=True)
        elif done * _LINES // max(total, 1) > self._said or not done:
            self._said = done * _LINES // max(total, 1)
            self._console.print(Text(f"{inert(self._name)}  {said}"), soft_wrap=True)

    def _frame(self, done: int, total: int, said: str) -> RenderableType:
        row = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(total=max(total, 1), completed=done, width=_BAR, complete_style="cyan")
        row.add_row(Text(inert(self._name), style="bold"), bar, Text(said))
        return row

    def _time(self, done: int, total: int) -> str:
        """What is left, from the pace of this start."""
        here = done - (self._before or 0)
        spent = time.monotonic() - self._started
        if not here:
            return ""
        left = spent / here * (total - done)
        return f"{seconds(left)} left" if left else seconds(spent)


def evaluation_view(
    rates: PassRates | None, *, run: str, failed: int, skipped: int, duration_s: float
) -> Group:
    """The rates of an evaluation, what they leave out, and what to type next."""
    return Group(*_page(rates, run, failed, skipped, duration_s))


def rates_view(rates: PassRates) -> Group:
    """pass@k with its interval, a line each."""
    return Group(*_rates(rates))


def _page(
    rates: PassRates | None, run: str, failed: int, skipped: int, duration_s: float
) -> Iterator[RenderableType]:
    if rates is None:
        yield layout.warning("no component is known to say what is right, so there is no pass@k")
    else:
        yield from _rates(rates)
    if failed:
        yield layout.warning(
            f"{plural(failed, 'rollout')} ended in an exception: rlvr show {run} --mode eval"
        )
    before = f"{plural(skipped, 'example')} recorded before" if skipped else ""
    yield Text(joined((before, seconds(duration_s))), style="dim")
    yield heading("Next")
    yield layout.command(f"rlvr show {run}", "the evaluation on a page")
    yield layout.command(f"rlvr parity TRAINING {run}", "why training scores otherwise")


def _rates(rates: PassRates) -> Iterator[RenderableType]:
    measured = plural(rates.rollouts, "rollout")
    yield heading("pass@k", f"by {inert(rates.component)}, {measured}, intervals of 95 %")
    shown = layout.table("", "pass", "from", "to", "examples", left=("",))
    for rate in rates.rates:
        shown.add_row(f"pass@{rate.k}", *_row(rate))
    yield shown
    missing = rates.rollouts - rates.scored
    if missing:
        yield layout.warning(
            f"left out: {plural(missing, 'rollout')} without a score; with them pass@1 would be"
            f" {share(rates.least)} to {share(rates.most)}"
        )


def _row(rate: PassAt) -> tuple[str, str, str, str]:
    if math.isnan(rate.value):
        return number(None), "", "", "0"
    return share(rate.value), share(rate.low), share(rate.high), number(rate.examples)
