"""What was recorded of a run and what was lost, process by process."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.utils.sizes import size_text
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, joined, number, one_line, plural, seconds

if TYPE_CHECKING:
    from rlvr.runs import MirrorStatus, RankStatus, RunStatus


_STATES = ("running", "on another machine", "killed", "failed")


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
    """The run in a few words; only its newest attempt counts."""
    states = {_state(rank) for rank in status.newest}
    found = next((state for state in _STATES if state in states), "finished")
    dead = [number(rank.rank) for rank in status.newest if rank.dead]
    if dead and found != "killed":
        return f"{found} without rank {', '.join(dead)}, which is dead"
    return found


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
            _state(rank),
            style=layout.BAD if lost else "",
        )
    yield shown
    yield from _absences(status)
    for rank in status.ranks:
        yield from _troubles(rank)
    for mirror in status.mirrors:
        yield _mirrored(mirror)


def _state(rank: "RankStatus") -> str:
    if rank.closed:
        return "finished" if rank.failure is None else "failed"
    return {True: "running", False: "killed", None: "on another machine"}[rank.alive]


def _absences(status: "RunStatus") -> Iterator[Text]:
    """Who died, who is out of sight, and who never came."""
    for rank in status.ranks:
        where = f"{_where(rank)} (pid {rank.pid} on {one_line(rank.host, 60)})"
        lost = rank.not_recorded
        cost = (
            f"; at least {plural(lost, 'trajectory', 'trajectories')} not recorded" if lost else ""
        )
        if rank.dead:
            yield layout.warning(
                f"{where} is dead; its last sign of life is of {moment(rank.last_write)}{cost}"
            )
        elif rank.alive is None:
            yield Text(
                f"{where} can't be looked at from here; silent for {seconds(rank.silent_s)}{cost}"
            )
        elif rank.failure is not None:
            yield layout.warning(f"{_where(rank)} ended with {one_line(rank.failure, 600)}")
    for attempt, rank_number in status.missing:
        yield layout.warning(
            f"attempt {number(attempt)} was started with rank {number(rank_number)}, which never"
            " wrote anything"
        )


def _mirrored(mirror: "MirrorStatus") -> Text:
    """How far a mirror is, and why it is not further."""
    place = one_line(mirror.url, 200)
    if mirror.whole:
        return Text(f"mirrored to {place} as of {moment(mirror.complete_at)}")
    since = "ever" if mirror.complete_at is None else f"since {moment(mirror.complete_at)}"
    why = f": {one_line(mirror.last_error, 400)}" if mirror.last_error else ""
    return layout.warning(
        f"{plural(mirror.files, 'file')}, {size_text(mirror.bytes)}, not mirrored to {place}"
        f" {since}{why}"
    )


def _where(rank: "RankStatus") -> str:
    return f"attempt {number(rank.attempt)} rank {number(rank.rank)}"


def _troubles(rank: "RankStatus") -> Iterator[Text]:
    where = _where(rank)
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
