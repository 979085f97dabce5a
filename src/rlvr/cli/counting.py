"""How many rollouts of how many are done: a bar on a terminal, in a pipe a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from rlvr.cli.output import say

LINE_EVERY_S = 10.0
DRAWN_EVERY_S = 0.1

Told = Callable[[int, int], None]
_P = ParamSpec("_P")


@contextmanager
def counting(doing: str, done: str) -> Iterator[Told]:
    """What is told of every rollout, with how many are done and how many there are, on standard
    error: `counting("scoring", "scored")`."""
    if not sys.stderr.isatty():
        yield seldom(lambda n, of: say(f"rlvr: {n:,} of {of:,} rollouts {done}"), LINE_EVERY_S)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (doing, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield seldom(lambda n, of: bar.update(task, completed=n, total=of), DRAWN_EVERY_S)


def seldom(told: Callable[_P, None], every_s: float) -> Callable[_P, None]:
    """The same, but for what is told within `every_s` seconds of the last that was passed on."""
    next_at = time.monotonic() + every_s

    def tell(*args: _P.args, **kwargs: _P.kwargs) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            told(*args, **kwargs)
            next_at = time.monotonic() + every_s

    return tell
