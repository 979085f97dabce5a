"""What was recorded of a run and what was lost, process by process."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, joined, number, one_line, plural

if TYPE_CHECKING:
    from rlvr.runs import RankStatus, RunStatus


def state_line(status: "RunStatus") -> str:
    """Whether the run lives, what was recorded, and what was lost at least, as of when."""
    if not status.ranks:
        return "nothing recorded yet"
    if status.not_recorded:
        lost = f"at least {number(status.not_recorded)} not recorded as of {moment(status.as_of)}"
    else:
        lost = "nothing lost"
    return joined(
        (
            life(status),
            f"{number(status.recorded)} recorded",
            f"{number(status.queued)} queued" if status.queued else "",
            lost,
        )
    )


def short_state(status: "RunStatus") -> str:
    """Whether the run lives, and what was lost at least, where something was."""
    if not status.ranks:
        return "nothing recorded yet"
    lost = status.not_recorded
    return joined((life(status), f"at least {number(lost)} not recorded" if lost else ""))


def life(status: "RunStatus") -> str:
    """The run in a word or two; only its newest attempt counts."""
    newest = max(rank.attempt for rank in status.ranks)
    states = {_life(rank) for rank in status.ranks if rank.attempt == newest}
    for state in ("running", "on another machine", "killed"):
        if state in states:
            return state
    return "finished"


def status_view(status: "RunStatus") -> Group:
    """One line on the whole run, and a row for each process of each attempt."""
    return Group(*_page(status))


def moment(time: float | None) -> str:
    """A Unix time in UTC, to the second."""
    return "∅" if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _page(status: "RunStatus") -> Iterator[RenderableType]:
    yield Text(one_line(status.run, 120), style="bold")
    line = state_line(status)
    yield layout.warning(line) if status.not_recorded else Text(line)
    if not status.ranks:
        return
    yield heading("Processes", "trajectories")
    columns = ("attempt", "rank", "recorded", "queued", "dropped", "failed", "as of", "state")
    shown = layout.table(*columns, left=("as of", "state"))
    for rank in status.ranks:
        lost = rank.not_recorded > 0
        shown.add_row(
            number(rank.attempt),
            number(rank.rank),
            number(rank.recorded),
            number(rank.queued),
            number(rank.dropped),
            number(rank.failed),
            f"{datetime.fromtimestamp(rank.last_write, UTC):%m-%d %H:%M:%S}",
            _life(rank),
            style=layout.BAD if lost else "",
        )
    yield shown
    for rank in status.ranks:
        yield from _troubles(rank)


def _life(rank: "RankStatus") -> str:
    if rank.closed:
        return "finished"
    return {True: "running", False: "killed", None: "on another machine"}[rank.alive]


def _troubles(rank: "RankStatus") -> Iterator[Text]:
    where = f"attempt {rank.attempt} rank {rank.rank}"
    lost = joined(
        (
            plural(rank.outages, "outage") if rank.outages else "",
            f"{number(rank.metric_rows_lost)} metric rows lost" if rank.metric_rows_lost else "",
            f"{number(rank.annotations_lost)} annotations lost" if rank.annotations_lost else "",
        )
    )
    if lost:
        yield layout.warning(f"{where}: {lost}")
    if rank.last_error:
        yield Text(f"{where}: last error: {one_line(rank.last_error, 300)}", style="dim")
