"""What became of everything that a recorder was offered."""

import shlex
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rlvr.record import SinkReport
from rlvr.utils.sizes import size_text


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReport:
    """How far the mirror of a run is.

    complete_at: Unix time from which it lacked nothing that there was, None while it never was so.
    files, bytes: what it lacks now, as far as is known. last_error: why, where that failed.
    """

    url: str
    complete_at: float | None
    files: int
    bytes: int
    failures: int
    outages: int
    last_error: str | None

    @property
    def whole(self) -> bool:
        """Whether all that was recorded is there."""
        return self.complete_at is not None and self.last_error is None and not self.files

    @property
    def values(self) -> Mapping[str, Any]:
        """Its fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def text(self, folder: Path) -> str:
        """What a person needs to know of the mirror of the run in a folder."""
        if self.whole:
            return f"mirrored to {self.url}"
        command = shlex.join(["rlvr", "mirror", str(folder), self.url.rpartition("/")[0]])
        why = f" ({self.last_error})" if self.last_error else ""
        return (
            f"{self.files:,} files, {size_text(self.bytes)} NOT MIRRORED to {self.url}: `{command}`"
            f" completes it{why}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderReport:
    """Counts of trajectories: offered == recorded + queued + dropped + failed, at any moment.

    dropped: left out because the queue or the disk was full, or after close. failed: the store or
    the codec could not take them. `queue_bytes` is held in memory now, `bytes_written` the size of
    the trajectory files. `sinks` holds each sink's closing report; it is empty before close.
    `mirror` is None where nothing is mirrored, or another process does it.
    """

    run: str
    attempt: int
    rank: int
    offered: int = 0
    recorded: int = 0
    dropped: int = 0
    failed: int = 0
    batches: int = 0
    bytes_written: int = 0
    queue_bytes: int = 0
    outages: int = 0
    last_error: str | None = None
    metric_rows_lost: int = 0
    annotations_lost: int = 0
    sink_failures: int = 0
    sinks: tuple[SinkReport, ...] = ()
    mirror: MirrorReport | None = None

    @property
    def queued(self) -> int:
        """Trajectories that wait to be written."""
        return self.offered - self.recorded - self.dropped - self.failed

    @property
    def lost(self) -> int:
        """Trajectories that are not in the record and will not be."""
        return self.dropped + self.failed

    @property
    def text(self) -> str:
        """One line for people."""
        line = f"recorded {self.recorded} of {self.offered} trajectories of run {self.run}"
        details = [
            f"{count} {what}"
            for count, what in (
                (self.queued, "still queued"),
                (self.dropped, "dropped"),
                (self.failed, "failed"),
                (self.metric_rows_lost, "metric rows lost"),
                (self.annotations_lost, "annotations lost"),
                (self.sink_failures, "sink failures"),
            )
            if count
        ]
        cause = f" (last error: {self.last_error})" if self.last_error and self.lost else ""
        return line + (": " + ", ".join(details) if details else "") + cause


class Tally:
    """The running counts behind a report. Every change is one step; reading takes no lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Mapping[str, int] = dict.fromkeys(
            ("offered", "recorded", "dropped", "failed", "batches", "bytes_written"), 0
        )

    def add(self, **changes: int) -> None:
        """Add to several counts at once."""
        with self._lock:
            was = self._counts
            self._counts = {**was, **{name: was[name] + by for name, by in changes.items()}}

    def counts(self) -> Mapping[str, int]:
        """All counts, of one moment."""
        return self._counts
