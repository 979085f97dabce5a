"""The batches of a run as search sees them: what to compare, and their rows."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rlvr.runs.attempts import read_attempts, supersession
from rlvr.runs.batches import Batches, BatchReader, Piece, RecordedBatch
from rlvr.runs.columns import just
from rlvr.runs.files import EVERY_ROW, Damage, RowFilter, visible
from rlvr.runs.pruned import Pruning, read_pruning
from rlvr.store import COMPACTED_FOLDER, RETENTION_FILE, TRAJECTORIES_FOLDER, BatchName
from rlvr.store.layers import Footers


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One batch, the rows whose ids begin with its stem.

    `signature` is what the file system says of its file, by which a replaced one is known; empty
    where it lies with others in a compacted file, which changes none of it. `size_bytes` is its
    share of the file.
    """

    batch: RecordedBatch
    signature: str
    size_bytes: int

    @property
    def name(self) -> BatchName:
        """The batch's name."""
        return self.batch.name


class Placed(Protocol):
    """What says in which attempt and step rows were recorded."""

    @property
    def attempt(self) -> int:
        """The attempt."""

    @property
    def step(self) -> int:
        """The step."""


class Segments:
    """The batches of the run in a folder. Close it after reading; what can't be read is noted."""

    def __init__(self, folder: Path, damage: Damage, footers: Footers | None = None) -> None:
        self._folder = folder
        self._damage = damage
        self._batches = Batches(folder, damage, footers)
        self._reader = BatchReader(self._batches, damage)
        self._all: tuple[Segment, ...] | None = None

    def __enter__(self) -> "Segments":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()

    def all(self) -> tuple[Segment, ...]:
        """Every batch of the run as of the first call, by attempt, step, mode, batch and rank."""
        if self._all is None:
            self._all = tuple(self._segments(self._batches.all()))
        return self._all

    def named(self, names: Iterable[BatchName]) -> tuple[Segment, ...]:
        """Those of these names that are there now, in the order of `all`."""
        return tuple(self._segments(self._batches.named(*names)))

    def looks(self) -> str:
        """What the run's folders look like: another text whenever a file came, went or changed."""
        self._damage.look()
        known = hashlib.sha256()
        folders = (self._folder / TRAJECTORIES_FOLDER, self._folder / COMPACTED_FOLDER)
        files = [*visible(folders[0]), *visible(folders[1]), self._folder / RETENTION_FILE]
        for path in files:
            with suppress(FileNotFoundError):
                known.update(os.fsencode(f"{path.name}\0{_signature(path.stat())}\n"))
        return known.hexdigest()

    def _segments(self, found: Sequence[RecordedBatch]) -> Iterator[Segment]:
        rows: dict[Path, int] = {}
        for batch in found:
            path, segment = batch.place.path, batch.place.segment
            rows[path] = max(rows.get(path, 0), segment.stop if segment else 0)
        states = {path: self._state(path) for path in rows}
        for batch in found:
            path, segment = batch.place.path, batch.place.segment
            state = states[path]
            if state is None:
                continue  # it went since it was listed
            if segment is None:
                yield Segment(batch=batch, signature=_signature(state), size_bytes=state.st_size)
            else:
                size = state.st_size * segment.rows // max(rows[path], 1)
                yield Segment(batch=batch, signature="", size_bytes=size)

    def _state(self, path: Path) -> os.stat_result | None:
        try:
            self._damage.fetch(path)
            return path.stat()
        except FileNotFoundError:
            return None

    def pieces(
        self, segment: Segment, columns: Sequence[str], where: RowFilter = EVERY_ROW
    ) -> Iterator[Piece]:
        """Those of the columns that it has, with the rows of one row group in each piece."""
        return self._reader.pieces([segment.batch], just(columns), where)

    def pruning(self) -> Pruning:
        """What was pruned of the run."""
        return read_pruning(self._folder, self._batches, self._damage)

    def supersession(self) -> Callable[[Placed], bool]:
        """Whether a newer attempt has superseded the rows of a batch."""
        outdated = supersession(read_attempts(self._folder, self._damage))
        return lambda name: outdated(name.attempt, name.step)


def _signature(state: os.stat_result) -> str:
    """What the file system says of a file, by which a replaced one is known."""
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ino}"
