"""How a run stands: what each process was offered, recorded and lost, and whether it lives."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlvr.codec import decode_document
from rlvr.errors import DamagedFile
from rlvr.runs.attempts import read_attempts
from rlvr.runs.batches import Batches
from rlvr.runs.files import Damage, visible
from rlvr.store import (
    MIRROR_FOLDER,
    RANKS_FOLDER,
    host_name,
    parse_mirror,
    parse_rank,
    process_mark,
)

_SAME = (
    "rank",
    "attempt",
    "offered",
    "recorded",
    "dropped",
    "failed",
    "bytes_written",
    "outages",
    "metric_rows_lost",
    "annotations_lost",
    "last_error",
    "started_at",
    "pid",
    "host",
    "closed",
)
"""What a rank's file and its status call alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankStatus:
    """The counts of one process of one attempt, in trajectories, as of `last_write`.

    `alive` is None where the process ran on another machine; what speaks for its life there is that
    it is not `silent_s` for long, since a living process writes its counts every ten seconds or so.
    `recorded` is at least what its files hold. `failure` is the error that training ended with.
    Times are Unix seconds.
    """

    rank: int
    attempt: int
    offered: int
    recorded: int
    dropped: int
    failed: int
    bytes_written: int
    outages: int
    metric_rows_lost: int
    annotations_lost: int
    last_error: str | None
    started_at: float
    last_write: float
    pid: int
    host: str
    closed: bool
    alive: bool | None
    looked_at: float
    failure: str | None = None

    @property
    def dead(self) -> bool:
        """Whether it ended without closing its record: killed, or its machine went down."""
        return self.alive is False and not self.closed

    @property
    def silent_s(self) -> float:
        """Seconds from its last sign of life to the look at it."""
        return max(self.looked_at - self.last_write, 0.0)

    @property
    def queued(self) -> int:
        """Offered, but neither recorded nor counted as lost when the counts were written."""
        return max(self.offered - self.recorded - self.dropped - self.failed, 0)

    @property
    def not_recorded(self) -> int:
        """At least so many will never be in the record. What a living process queues may be."""
        return self.dropped + self.failed + (self.queued if self.alive is False else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorStatus:
    """How far the run's mirror was when its process last said so.

    complete_at: when it last lacked nothing, None for never. files, bytes: what it lacked; 0 where
    it was whole. last_error: why it lacks that, where copying failed. Times are Unix seconds.
    """

    rank: int
    url: str
    complete_at: float | None
    files: int
    bytes: int
    failures: int
    outages: int
    last_error: str | None
    written_at: float

    @property
    def whole(self) -> bool:
        """Whether it lacked nothing."""
        return self.complete_at is not None and self.last_error is None and not self.files


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """The counts of all processes of all attempts of a run.

    `missing` has (attempt, rank) of each process that an attempt was started with and that never
    wrote its counts. `mirrors` has what each process mirrors that does.
    """

    run: str
    ranks: tuple[RankStatus, ...]
    missing: tuple[tuple[int, int], ...] = ()
    mirrors: tuple[MirrorStatus, ...] = ()

    @property
    def offered(self) -> int:
        """Trajectories that the trainer handed over."""
        return sum(rank.offered for rank in self.ranks)

    @property
    def recorded(self) -> int:
        """Trajectories that the files hold."""
        return sum(rank.recorded for rank in self.ranks)

    @property
    def dropped(self) -> int:
        """Left out because a queue or the disk was full."""
        return sum(rank.dropped for rank in self.ranks)

    @property
    def failed(self) -> int:
        """Left out because the store or the codec could not take them."""
        return sum(rank.failed for rank in self.ranks)

    @property
    def queued(self) -> int:
        """Waiting in a process that may still write them."""
        return sum(rank.queued for rank in self.ranks if rank.alive is not False)

    @property
    def not_recorded(self) -> int:
        """At least so many are lost, as of `as_of`."""
        return sum(rank.not_recorded for rank in self.ranks)

    @property
    def alive(self) -> bool:
        """Whether any process is known to live."""
        return any(rank.alive for rank in self.ranks)

    @property
    def newest(self) -> tuple[RankStatus, ...]:
        """The processes of the newest attempt."""
        attempt = max((rank.attempt for rank in self.ranks), default=None)
        return tuple(rank for rank in self.ranks if rank.attempt == attempt)

    @property
    def dead(self) -> tuple[RankStatus, ...]:
        """The processes that died, of any attempt."""
        return tuple(rank for rank in self.ranks if rank.dead)

    @property
    def as_of(self) -> float | None:
        """When the last process wrote its counts; None where none has."""
        return max((rank.last_write for rank in self.ranks), default=None)

    @property
    def text(self) -> str:
        """One line for people."""
        if self.as_of is None:
            return f"run {self.run}: nothing recorded yet"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.as_of))
        state = "running" if self.alive else "not running"
        line = f"run {self.run} ({state}): {self.recorded} of {self.offered} trajectories recorded"
        queued = f", {self.queued} queued" if self.queued else ""
        lost = f"; at least {self.not_recorded} not recorded" if self.not_recorded else ""
        return f"{line}{queued}{lost}, as of {when}"


def read_status(folder: Path, batches: Batches, damage: Damage) -> RunStatus:
    """The status of the run in a folder."""
    looked_at = time.time()
    ranks = []
    damage.look()
    for path in visible(folder / RANKS_FOLDER):
        payload = damage.document(path) if parse_rank(path.name) else None
        if payload is None:
            continue
        try:
            ranks.append(_rank_status(decode_document(payload, str(path)), looked_at))
        except DamagedFile as error:
            damage.note(path, error)
        except (KeyError, TypeError) as error:
            damage.note(path, DamagedFile(f"{path} is not what rlvr wrote ({error!r})."))
    ranks = [rank if rank.closed else _counted(rank, batches) for rank in ranks]
    known = {_place(rank) for rank in ranks}
    started = [
        (attempt.attempt, rank)
        for attempt in read_attempts(folder, damage)
        for rank in range(attempt.world_size)
    ]
    return RunStatus(
        run=folder.name,
        ranks=tuple(sorted(ranks, key=_place)),
        missing=tuple(place for place in started if place not in known),
        mirrors=tuple(_mirrors(folder, damage)),
    )


def _mirrors(folder: Path, damage: Damage) -> Iterator[MirrorStatus]:
    for path in visible(folder / MIRROR_FOLDER):
        rank = parse_mirror(path.name)
        said = None if rank is None else damage.parsed(path, decode_document)
        if rank is None or said is None:
            continue
        try:
            yield MirrorStatus(rank=rank, **said)
        except TypeError as error:
            damage.note(path, DamagedFile(f"{path} is not what rlvr wrote ({error!r})."))


def _rank_status(counts: Mapping[str, Any], looked_at: float) -> RankStatus:
    return RankStatus(
        **{name: counts[name] for name in _SAME},
        last_write=counts["written_at"],
        alive=_alive(counts),
        looked_at=looked_at,
        failure=counts.get("failure"),
    )


def _alive(counts: Mapping[str, Any]) -> bool | None:
    if counts["closed"]:
        return False
    if counts["host"] != host_name():
        return None
    return bool(process_mark(counts["pid"]) == counts["process"])


def _counted(rank: RankStatus, batches: Batches) -> RankStatus:
    """The status with the rows counted that were written after the counts."""
    rows = sum(
        batches.rows(batch)
        for batch in batches.all()
        if (batch.name.rank, batch.name.attempt) == (rank.rank, rank.attempt)
    )
    return replace(rank, recorded=max(rank.recorded, rows), offered=max(rank.offered, rows))


def _place(rank: RankStatus) -> tuple[int, int]:
    return rank.attempt, rank.rank
