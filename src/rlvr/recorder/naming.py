"""Ids and file names: every trajectory gets one id, every file is written once."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rlvr.record import Mode, Trajectory
from rlvr.store import BatchName, parse_record_id

_Key = tuple[Mode, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Trajectories that make one file, and what each of them holds, in bytes."""

    name: BatchName
    rows: tuple[Trajectory, ...]
    sizes: tuple[int, ...] = ()


def batch_key(trajectory: Trajectory) -> _Key:
    """What the trajectories of one file have in common."""
    return trajectory.mode, trajectory.step, trajectory.batch


class Namer:
    """Gives ids. A (mode, step, batch) that comes again gets a further file, never the same."""

    def __init__(self, *, run: str, attempt: int, rank: int) -> None:
        self._run = run
        self._attempt = attempt
        self._rank = rank
        self._next_batch = dict.fromkeys(Mode, 0)
        self._parts: dict[_Key, int] = {}
        self._reserved: set[BatchName] = set()
        self._lock = threading.Lock()

    def next_batch(self, mode: Mode) -> int:
        """0, 1, 2, ... for each mode."""
        with self._lock:
            number = self._next_batch[mode]
            self._next_batch[mode] = number + 1
            return number

    def reserve(self, trajectories: Sequence[Trajectory]) -> tuple[Trajectory, ...]:
        """The trajectories with their ids, which `batches` will keep."""
        with self._lock:
            batches = self._named(trajectories)
            self._reserved.update(batch.name for batch in batches)
        return tuple(row for batch in batches for row in batch.rows)

    def batches(self, trajectories: Sequence[Trajectory]) -> list[Batch]:
        """One batch for each file: usually one, more where mode, step or batch differ."""
        with self._lock:
            return self._kept(trajectories) or self._named(trajectories)

    def _kept(self, trajectories: Sequence[Trajectory]) -> list[Batch]:
        """Batches by the ids that were reserved; empty where any was not."""
        rows: dict[BatchName, list[Trajectory]] = {}
        for trajectory in trajectories:
            place = parse_record_id(trajectory.id) if trajectory.id else None
            if place is None or place[0] not in self._reserved:
                return []
            rows.setdefault(place[0], []).append(trajectory)
        self._reserved.difference_update(rows)
        return [Batch(name=name, rows=tuple(part)) for name, part in rows.items()]

    def _named(self, trajectories: Sequence[Trajectory]) -> list[Batch]:
        groups: dict[_Key, list[Trajectory]] = {}
        for trajectory in trajectories:
            groups.setdefault(batch_key(trajectory), []).append(trajectory)
        return [self._batch(key, group) for key, group in groups.items()]

    def _batch(self, key: _Key, group: Sequence[Trajectory]) -> Batch:
        mode, step, batch = key
        part = self._parts.get(key, 0)
        self._parts[key] = part + 1
        name = BatchName(
            mode=Mode(mode),
            step=int(step),
            batch=int(batch),
            attempt=self._attempt,
            rank=self._rank,
            part=part,
        )
        rows = tuple(
            replace(
                trajectory,
                id=name.record_id(row),
                run=self._run,
                attempt=self._attempt,
                rank=self._rank,
            )
            for row, trajectory in enumerate(group)
        )
        return Batch(name=name, rows=rows)
