"""Going through a run once, file by file, and asking every question of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from rlvr.checking.answers import Answers
from rlvr.checking.folder import (
    Circumstances,
    Held,
    check_annotations,
    check_attempts,
    check_batches,
    check_blobs,
    check_counts,
    check_files,
)
from rlvr.checking.groups import GROUP_COLUMNS, Generation, check_groups
from rlvr.checking.result import SoundnessReport
from rlvr.checking.rows import PLACE_COLUMNS, RowChecks, check_places
from rlvr.codec import decode_document, migrations_of, pruned_parts
from rlvr.record import Mode, Part, RunInfo
from rlvr.runs import Run
from rlvr.runs.batches import Batches, BatchReader, RecordedBatch
from rlvr.runs.columns import shaped, wanted_schema
from rlvr.runs.files import UNREADABLE, Damage
from rlvr.runs.status import RunStatus
from rlvr.store import RETENTION_FILE, BatchName
from rlvr.store.opened import OpenFiles

_CONTENT_QUESTIONS = ("texts", "totals", "derived", "tokens", "evidence", "vocabulary")
_WHOLE_QUESTIONS = ("counts", "batches", "attempts", "annotations")
_SCALARS = tuple(dict.fromkeys(PLACE_COLUMNS + GROUP_COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """How much of a run is checked.

    fast: scalars alone, no content. steps: these only. limit_rows: no further batch once so many
    rows were read. private: whether the files are to be their owner's alone.
    """

    fast: bool = False
    steps: range | int | None = None
    limit_rows: int | None = None
    private: bool = True

    @property
    def partial(self) -> str | None:
        """Why not every row is read; None where all are."""
        if self.steps is not None:
            return "only some steps were read"
        if self.limit_rows is not None:
            return "only the first rows were read"
        return None


def check_run(
    run: Run, scope: Scope, told: Callable[[int, int], None] | None = None
) -> SoundnessReport:
    """Check a run. `told` hears how many rollouts of how many are read.

    Memory is bounded by a generation batch. A file that can't be read is an answer, no error.

    Raises:
        NewerFormat: a newer rlvr wrote a file.
    """
    started = time.monotonic()
    checking = _Checking(run, scope)
    checking.read(told or _untold)
    return checking.report(started)


class _Checking:
    """One walk through a run."""

    def __init__(self, run: Run, scope: Scope) -> None:
        self._run = run
        self._scope = scope
        self._damage = Damage(run.origin)
        self._batches = Batches(run.path, self._damage)
        self._answers = Answers()
        self._held = Held()
        self._info: RunInfo | None = run.info
        self._status: RunStatus = run.status()
        self._why = Circumstances.of(run, self._status)
        weights = self._info.components if self._info else {}
        self._rows = RowChecks(weights, len(run.vocabulary()), self._answers)
        self._migrations: Counter[str] = Counter()
        self._complete = scope.partial is None
        self._say_limits()

    def _say_limits(self) -> None:
        if self._scope.fast:
            for name in _CONTENT_QUESTIONS:
                self._answers.unknown(name, "--fast reads no content")
        if self._scope.partial is not None:
            for name in _WHOLE_QUESTIONS:
                self._answers.unknown(name, self._scope.partial)
        foreign = self._info is not None and self._info.imported_from is not None
        if foreign:
            self._rows.sums = False
            for name in ("totals", "groups", "advantages"):
                self._answers.unknown(name, "another tool computed them, by rules of its own")

    def read(self, told: Callable[[int, int], None]) -> None:
        """Read the batches, one generation batch after another."""
        batches = self._batches.all(step=self._scope.steps)
        last = {(b.name.attempt, b.name.mode): b.name.batch for b in batches}
        rows = 0
        total = sum(rank.recorded for rank in self._status.ranks)
        with BatchReader(self._batches, self._damage) as reader, OpenFiles() as files:
            for _, of_generation in groupby(batches, _generation):
                parts = list(of_generation)
                tables = [table for batch in parts for table in self._batch(reader, files, batch)]
                self._groups(tables, parts[0].name, last)
                rows += sum(table.num_rows for table in tables)
                told(rows, max(rows, total))
                if self._scope.limit_rows is not None and rows >= self._scope.limit_rows:
                    break

    def _batch(
        self, reader: BatchReader, files: OpenFiles, batch: RecordedBatch
    ) -> Iterator[pa.Table]:
        """The columns of a batch that groups are checked by; checks all else on the way."""
        name = batch.name
        end = rows = 0
        notes = None
        run = self._info.run if self._info else self._run.id
        schema = wanted_schema(_SCALARS)
        ids: list[object] = []
        for piece in reader.pieces([batch], self._choose):
            table = piece.table
            if notes is None:
                notes = self._notes(table)
            scalars = shaped(table, schema)
            end, left_out = check_places(scalars, name, run, end, self._answers)
            self._held.left_out[name.attempt, name.rank] += left_out
            rows += table.num_rows
            if not self._scope.fast:
                self._rows.check(table)
            if len(batch.places) > 1:
                ids += scalars["id"].to_pylist()
            yield scalars.select(list(GROUP_COLUMNS))
        self._held.rows[name], self._held.ends[name] = rows, end
        self._layers(files, batch, ids)

    def _choose(self, present: Sequence[str]) -> list[str]:
        if not self._scope.fast:
            return list(present)
        return [name for name in present if name in _SCALARS]

    def _notes(self, table: pa.Table) -> bool:
        """What a file says of itself."""
        metadata = table.schema.metadata
        names = table.column_names
        self._rows.pruned = frozenset(note.part for note in pruned_parts(table.schema))
        if not self._scope.fast:
            self._migrations.update(m.name for m in migrations_of(metadata, names))
        if Part.MESSAGES in self._rows.pruned:
            self._answers.note("texts", "messages of some steps were pruned; see `rlvr status`")
        if Part.TOKENS in self._rows.pruned:
            self._answers.note("tokens", "token details of some steps were pruned")
        return True

    def _layers(self, files: OpenFiles, batch: RecordedBatch, ids: Sequence[object]) -> None:
        """Further files that hold the batch must hold the same rollouts."""
        for place in batch.places[1:]:
            self._answers.seen("layers")
            try:
                self._damage.fetch(place.path)
                held = files.rows_of([place])
                other = held.table(0, held.stop - held.first, ["id"])["id"].to_pylist()
            except FileNotFoundError:
                continue
            except UNREADABLE as error:
                self._damage.note(place.path, error)
                continue
            if other != list(ids):
                said = f"holds other rollouts than {batch.place.path.name}"
                self._answers.wrong("layers", place.path.name, said)
        if len(batch.places) == 1:
            self._answers.unknown("layers", "every batch lies in one file")

    def _groups(
        self, tables: Sequence[pa.Table], name: BatchName, last: dict[tuple[int, Mode], int]
    ) -> None:
        info = self._info
        if not tables or (info is not None and info.imported_from is not None):
            return
        ends = name.batch == last[name.attempt, name.mode]
        excused = self._why.excuse(name.attempt)
        if excused is None and ends and any(rank.dead for rank in self._status.ranks):
            excused = "the run was killed in its last batch"
        if excused is None and self._why.living and ends:
            excused = "the run is still being written"
        of_training = name.mode is Mode.TRAIN or (info is not None and info.is_evaluation)
        if info is None or info.num_generations is None:
            self._answers.note("groups", "the run does not say how many rollouts a group has")
        generation = Generation(
            size=info.num_generations if info and of_training else None,
            excused=excused,
            scaled=info.scale_rewards if info else None,
            trained=name.mode is Mode.TRAIN,
        )
        check_groups(pa.concat_tables(tables), generation, self._answers)

    def report(self, started: float) -> SoundnessReport:
        """Check what lies beside the trajectories, and gather the answers."""
        run, answers, held = self._run, self._answers, self._held
        if self._complete:
            check_counts(self._status, held, self._why, answers)
            check_batches(held, self._why, answers)
            check_attempts(run, held, answers)
        check_annotations(run, self._damage, held if self._complete else None, self._why, answers)
        named = self._rows.blobs if self._complete and not self._scope.fast else None
        check_blobs(run.path, named, self._damage, answers)
        self._damage.parsed(run.path / RETENTION_FILE, decode_document)
        size = check_files(run, answers, private=self._scope.private)
        files = self._files()
        return SoundnessReport(
            run=run.id,
            rollouts=sum(held.rows.values()),
            files=files,
            bytes=size,
            duration_s=time.monotonic() - started,
            checks=answers.checks(),
            migrations=dict(self._migrations),
        )

    def _files(self) -> int:
        """What could not be read, here or when the run was opened; the number of files."""
        paths = [path for path in self._run.path.rglob("*") if not path.is_dir()]
        self._answers.seen("files", len(paths))
        if self._info is None:
            self._answers.wrong("files", "run.json", "is missing or can't be read")
        reasons = {str(error): error for error in (*self._run.damaged, *self._damage.files)}
        for reason in sorted(reasons):
            place, _, why = reason.replace(f"{self._run.path}/", "").partition(" ")
            self._answers.wrong("files", place, why)
        if self._scope.fast:
            self._answers.note("files", "--fast checks the pages of the scalars alone")
        return len(paths)


def _untold(_: int, __: int) -> None:
    """Nobody wants to hear of it."""


def _generation(batch: RecordedBatch) -> tuple[int, int, Mode, int]:
    name = batch.name
    return name.attempt, name.step, name.mode, name.batch
