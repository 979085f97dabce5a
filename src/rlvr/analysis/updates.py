"""The optimizer updates that trained some rollouts."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum

from rlvr.record import TrajectoryUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRow:
    """One update and the rollouts that it trained, of those that were asked about.

    `clipped_share` and `kl_mean` are means over the rollouts that recorded them, else None.
    """

    update: int
    rollouts: int
    clipped_share: float | None
    kl_mean: float | None


def by_update(updates: Iterable[TrajectoryUpdate]) -> tuple[UpdateRow, ...]:
    """A row for each update, in order."""
    found: dict[int, list[TrajectoryUpdate]] = {}
    for one in updates:
        found.setdefault(one.update, []).append(one)
    return tuple(
        UpdateRow(
            update=update,
            rollouts=len(rows),
            clipped_share=_mean([row.clipped_share for row in rows]),
            kl_mean=_mean([row.kl_mean for row in rows]),
        )
        for update, rows in sorted(found.items())
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) / len(known) if known else None
