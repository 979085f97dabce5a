"""An evaluation: how far it is, and what came of it."""

import math
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlvr.analysis.passes import PassAt, PassRates
from rlvr.views.terminal import layout
from rlvr.views.terminal.live_view import LiveView
from rlvr.views.terminal.text import heading, inert, joined, number, plural, seconds, share

_BAR = 30
_LINES = 10


class LiveEvaluation(LiveView):
    """Shows how far an evaluation is: a bar on a terminal, some ten lines in a pipe.

    name: what is evaluated. console: where to; standard error unless given.
    """

    def __init__(self, name: str, *, console: Console | None = None) -> None:
        super().__init__(console)
        self._name = name
        self._started = time.monotonic()
        self._before: int | None = None
        self._said = 0
        self._done, self._total, self._line = 0, 0, ""

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
        self._done, self._total, self._line = done, total, said
        if self._draw():
            return
        if done * _LINES // max(total, 1) > self._said or not done:
            self._said = done * _LINES // max(total, 1)
            self._console.print(Text(f"{inert(self._name)}  {said}"), soft_wrap=True)

    def _frame(self) -> RenderableType:
        row = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(
            total=max(self._total, 1), completed=self._done, width=_BAR, complete_style="cyan"
        )
        row.add_row(Text(inert(self._name), style="bold"), bar, Text(self._line))
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
