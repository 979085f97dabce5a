"""The seam to further places that want to see trajectories: W&B, a tracker, a webhook."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rlvr.record.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkReport:
    """What became of the trajectories that a sink was offered.

    A sampled view writes fewer than it is offered: `dropped` counts only those that it meant to
    write and could not.
    """

    name: str
    offered: int = 0
    written: int = 0
    dropped: int = 0
    failed: int = 0
    last_error: str | None = None


class Sink(Protocol):
    """A place that trajectories are offered to beside the store. Training never waits for it."""

    @property
    def name(self) -> str:
        """How reports and log lines call it."""
        ...

    def offer(self, batch: Sequence[Trajectory]) -> None:
        """Take notice of a batch and return at once; work belongs in a thread of the sink."""
        ...

    def close(self, timeout_s: float) -> SinkReport:
        """Finish within the time given and say what became of everything offered."""
        ...
