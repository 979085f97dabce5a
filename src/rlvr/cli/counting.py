"""How many rollouts of how many are done: a bar on a terminal, in a pipe a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rlvr.cli.output import say

_LINE_EVERY_S = 10.0
_DRAWN_EVERY_S = 0.1

Told = Callable[[int, int], None]


@contextmanager
def counting(doing: str, done: str) -> Iterator[Told]:
    """What is told of every rollout, with how many are done and how many there are, on standard
    error: `counting("scoring", "scored")`."""
    if not sys.stderr.isatty():
        yield _seldom(lambda n, of: say(f"rlvr: {n:,} of {of:,} rollouts {done}"), _LINE_EVERY_S)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (doing, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield _seldom(lambda n, of: bar.update(task, completed=n, total=of), _DRAWN_EVERY_S)


def _seldom(told: Told, every_s: float) -> Told:
    next_at = time.monotonic() + every_s

    def tell(n: int, of: int) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            told(n, of)
            next_at = time.monotonic() + every_s

    return tell
