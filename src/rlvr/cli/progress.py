"""How far an import is: a bar on a terminal, in a pipe a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rlvr.cli.output import say

if TYPE_CHECKING:
    from rlvr.interchange import Progress

_LINE_EVERY_S = 10.0
_DRAWN_EVERY_S = 0.1


@contextmanager
def import_progress() -> "Iterator[Callable[[Progress], None]]":
    """What is told of every step of an import, on standard error."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    columns = ("importing", BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing", total=None)
        yield _seldom(
            lambda at: bar.update(task, completed=at.read_bytes, total=at.total_bytes),
            _DRAWN_EVERY_S,
        )


def _lines() -> "Callable[[Progress], None]":
    return _seldom(_line, _LINE_EVERY_S)


def _line(at: "Progress") -> None:
    from rlvr.utils.sizes import size_text

    done, total = size_text(at.read_bytes), size_text(at.total_bytes)
    say(f"rlvr: {done} of {total} read, {at.rollouts:,} rollouts")


def _seldom(told: "Callable[[Progress], None]", every_s: float) -> "Callable[[Progress], None]":
    next_at = time.monotonic() + every_s

    def tell(at: "Progress") -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            told(at)
            next_at = time.monotonic() + every_s

    return tell
