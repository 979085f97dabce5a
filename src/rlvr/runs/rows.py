"""Reading the rollouts of one run, as trajectories or as columns."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from rlvr.codec import from_table
from rlvr.errors import DamagedFile, RecordNotFound
from rlvr.record import Group, Mode, Trajectory, group_prefix
from rlvr.runs.attempts import read_attempts, supersession
from rlvr.runs.batches import Batches, BatchReader, RecordedBatch
from rlvr.runs.columns import just, presented, wanted_schema
from rlvr.runs.files import Damage, RowFilter, every_column
from rlvr.runs.later import LaterKnowledge
from rlvr.store import blob_path, parse_record_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rollouts in a run's folder. `place` is what a person calls it."""

    folder: Path
    place: str
    batches: Batches
    damage: Damage

    def chosen(
        self, *, mode: Mode | None, step: int | range | None, superseded: bool
    ) -> list[RecordedBatch]:
        """The batches of a mode and step, without those that a newer attempt has superseded."""
        outdated = supersession(read_attempts(self.folder, self.damage))
        return [
            batch
            for batch in self.batches.all(mode=mode, step=step)
            if superseded or not outdated(batch.name.attempt, batch.name.step)
        ]

    def trajectories(
        self,
        batches: Sequence[RecordedBatch],
        where: RowFilter,
        choose: Callable[[Sequence[str]], list[str]] = every_column,
    ) -> Iterator[Trajectory]:
        """The rows of batches that pass, with what became known later, as they are asked for."""
        later = LaterKnowledge(self.folder, self.damage)
        with self._reader() as reader:
            for piece in reader.pieces(batches, choose, where):
                yield from map(later.fill, self.damage.rows(piece.path, piece.table, self._decoded))

    def table(
        self, batches: Sequence[RecordedBatch], where: RowFilter, schema: pa.Schema
    ) -> pa.Table:
        """Columns of the rows of batches that pass, with what became known later."""
        filled = LaterKnowledge.concerns(schema.names)
        read = wanted_schema(dict.fromkeys([*schema.names, "id"])) if filled else schema
        with self._reader() as reader:
            pieces = reader.pieces(batches, just(read.names), where, apart=False)
            tables = list(presented(pieces, read, self.damage))
        table = pa.concat_tables(tables) if tables else read.empty_table()
        if filled:
            table = LaterKnowledge(self.folder, self.damage).fill_table(table)
        return table.select(schema.names)

    def trajectory(self, id: str) -> Trajectory:
        """The trajectory of that id.

        Raises:
            RecordNotFound: there is none, or its file is damaged.
        """
        place = parse_record_id(id)
        batch = self.batches.find(place[0]) if place else None
        found = iter(()) if batch is None else self.trajectories([batch], RowFilter(id=id))
        for trajectory in found:
            return trajectory
        raise RecordNotFound(f"no trajectory {id!r} in {self.place}{self._why(id, batch)}")

    def group(self, id: str) -> Group:
        """The rollouts of one group, by sample: of the newest batch that has it.

        Raises:
            RecordNotFound: there is no such group.
        """
        batches = [list(found) for _, found in groupby(reversed(self.batches.all()), _generation)]
        batches.sort(key=lambda found: not _names(id, found[0]))
        for batch in batches:
            rows = list(self.trajectories(batch, RowFilter(group=id)))
            if rows:
                return Group(sorted(rows, key=lambda row: (row.sample, row.id or "")))
        raise RecordNotFound(
            f"no group {id!r} in {self.place}. A trajectory's group_id names its group."
        )

    def _reader(self) -> BatchReader:
        return BatchReader(self.batches, self.damage)

    def _decoded(self, table: pa.Table) -> Iterator[Trajectory]:
        return from_table(table, self._blob)

    def _blob(self, sha256: str) -> bytes:
        """The bytes of a blob; none, and noted, where its file is gone."""
        path = self.folder / blob_path(sha256)
        payload = self.damage.document(path)
        if payload is None:
            self.damage.note(path, DamagedFile(f"{path} is gone; restore it from a copy."))
        return payload or b""

    def _why(self, id: str, batch: RecordedBatch | None) -> str:
        """Why there is no trajectory of that id, and which ones are like it."""
        if batch is not None:
            damaged = batch.place.path in self.damage.paths()
            return f": its file {'is damaged' if damaged else 'has no such row'}."
        stems = [batch.name.stem for batch in self.batches.all()]
        begun = [stem for stem in stems if stem.startswith(id)][:3]
        close = begun or difflib.get_close_matches(id.rpartition("-")[0] or id, stems, 3, 0.4)
        hint = ", ".join(f"{stem}-00000" for stem in close)
        return f". Close ids: {hint}" if hint else "."


def _generation(batch: RecordedBatch) -> tuple[int, int, Mode, int]:
    """What the files of one generation batch have in common, whichever process wrote them."""
    name = batch.name
    return name.attempt, name.step, name.mode, name.batch


def _names(group: str, batch: RecordedBatch) -> bool:
    """Whether a group id is one of that batch; other tools' ids name none."""
    name = batch.name
    return group.startswith(group_prefix(name.mode, name.attempt, name.batch))
