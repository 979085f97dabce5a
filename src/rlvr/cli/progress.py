"""How far reading files is: a bar on a terminal, in a pipe a line now and then."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rlvr.cli.counting import DRAWN_EVERY_S, LINE_EVERY_S, seldom
from rlvr.cli.output import say


class ReadSoFar(Protocol):
    """Bytes read, of how many, and the rollouts in them."""

    @property
    def read_bytes(self) -> int:
        """Bytes read."""

    @property
    def total_bytes(self) -> int:
        """Bytes that there are."""

    @property
    def rollouts(self) -> int:
        """Rollouts read."""


@contextmanager
def reading(doing: str) -> Iterator[Callable[[ReadSoFar], None]]:
    """What is told of every step of `doing`, such as importing, on standard error."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    columns = (doing, BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield seldom(
            lambda at: bar.update(task, completed=at.read_bytes, total=at.total_bytes),
            DRAWN_EVERY_S,
        )


def _lines() -> Callable[[ReadSoFar], None]:
    return seldom(_line, LINE_EVERY_S)


def _line(at: ReadSoFar) -> None:
    from rlvr.utils.sizes import size_text

    done, total = size_text(at.read_bytes), size_text(at.total_bytes)
    say(f"rlvr: {done} of {total} read, {at.rollouts:,} rollouts")
