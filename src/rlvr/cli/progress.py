"""How far an import is: a bar on a terminal, in a pipe a line now and then."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rlvr.cli.counting import DRAWN_EVERY_S, LINE_EVERY_S, seldom
from rlvr.cli.output import say

if TYPE_CHECKING:
    from rlvr.interchange import Progress


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
        yield seldom(
            lambda at: bar.update(task, completed=at.read_bytes, total=at.total_bytes),
            DRAWN_EVERY_S,
        )


def _lines() -> "Callable[[Progress], None]":
    return seldom(_line, LINE_EVERY_S)


def _line(at: "Progress") -> None:
    from rlvr.utils.sizes import size_text

    done, total = size_text(at.read_bytes), size_text(at.total_bytes)
    say(f"rlvr: {done} of {total} read, {at.rollouts:,} rollouts")
