"""One recorded run, read."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rlvr.codec import decode_run, decode_vocabulary, from_table
from rlvr.errors import ConfigurationError, DamagedFile, RecordNotFound
from rlvr.record import (
    Annotation,
    Attempt,
    MetricRow,
    Mode,
    RunInfo,
    Trajectory,
    TrajectoryUpdate,
)
from rlvr.runs.attempts import read_attempts, supersession
from rlvr.runs.columns import just, shaped, wanted_schema, without_tokens
from rlvr.runs.files import BatchFile, Damage, RowFilter, batch_files, every_column, matches
from rlvr.runs.later import LaterKnowledge, metric_files, read_metrics
from rlvr.runs.notes import annotation_files, read_annotations
from rlvr.runs.pruned import Pruning, read_pruning
from rlvr.runs.status import RunStatus, read_status
from rlvr.store import RUN_FILE, VOCABULARY_FILE, blob_path, folder_bytes, parse_record_id

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """A recorded run. Every call looks at the files anew, so a run being written can be read.

    Rows that a newer attempt has superseded are left out unless asked for. A file that can't be
    read is left out and named in `damaged`; only a newer format raises (NewerFormat).
    `others` holds the folders of further runs where `open_run` found several.
    """

    def __init__(self, path: Path, *, others: tuple[Path, ...] = ()) -> None:
        self.path = path
        self.others = others
        self._damage = Damage()
        self._info = self._damage.parsed(path / RUN_FILE, decode_run)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def id(self) -> str:
        """The run's id, which names its folder."""
        return self.path.name

    @property
    def info(self) -> RunInfo | None:
        """What the trainer said of the run; None where it was killed before it could."""
        if self._info is None:
            self._info = self._damage.parsed(self.path / RUN_FILE, decode_run)
        return self._info

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every start of the training run, in order."""
        return read_attempts(self.path, self._damage)

    @property
    def started_at(self) -> float:
        """Unix time at which its newest attempt started; 0.0 where none is known."""
        return max((attempt.started_at for attempt in self.attempts), default=0.0)

    @property
    def damaged(self) -> tuple[DamagedFile, ...]:
        """Every file that can't be read, with its reason, by the end of each file.

        Damage inside a file shows once its rows were asked for.
        """
        paths = [file.path for file in batch_files(self.path, self._damage)]
        for path in paths + metric_files(self.path) + annotation_files(self.path):
            self._damage.verify(path)
        self.status()
        return self._damage.files

    def trajectories(
        self,
        *,
        mode: Mode | str | None = None,
        step: int | range | None = None,
        group: str | None = None,
        reward: tuple[float, float] | None = None,
        superseded: bool = False,
        tokens: bool = True,
    ) -> Iterator[Trajectory]:
        """Every trajectory that passes, by attempt, step, mode, batch, rank and row.

        Args:
            mode: train or eval.
            step: one step, or a range of them.
            group: a group id.
            reward: lowest and highest total reward, both included.
            superseded: also rows that a newer attempt has superseded.
            tokens: False leaves token details out, which is faster.
        """
        where = RowFilter(group=group, reward=reward)
        choose = every_column if tokens else without_tokens
        later = LaterKnowledge(self.path, self._damage)
        for file in self._files(mode=mode, step=step, superseded=superseded):
            yield from map(later.fill, self._read(file.path, choose, where))

    def trajectory(self, id: str) -> Trajectory:
        """The trajectory of that id, superseded or not.

        Raises:
            RecordNotFound: there is none, or its file is damaged.
        """
        place = parse_record_id(id)
        if place is not None:
            path = self.path / place[0].path
            for trajectory in self._read(path, every_column, RowFilter(id=id)):
                return LaterKnowledge(self.path, self._damage).fill(trajectory)
        raise RecordNotFound(self._no_such_id(id))

    def group(self, group_id: str) -> tuple[Trajectory, ...]:
        """The rollouts of one group, by sample: of the newest batch that has it.

        Raises:
            RecordNotFound: there is no such group.
        """
        rows: list[Trajectory] = []
        found: object = None
        for file in reversed(batch_files(self.path, self._damage)):
            batch = (file.name.attempt, file.name.step, file.name.mode, file.name.batch)
            if rows and batch != found:
                break
            found = batch
            rows.extend(self._read(file.path, every_column, RowFilter(group=group_id)))
        if not rows:
            raise RecordNotFound(
                f"no group {group_id!r} in {self.path}. A trajectory's group_id names its group."
            )
        later = LaterKnowledge(self.path, self._damage)
        return tuple(sorted(map(later.fill, rows), key=lambda row: (row.sample, row.id or "")))

    def updates(self, trajectory: Trajectory) -> tuple[TrajectoryUpdate, ...]:
        """Every optimizer update that trained one of its trajectories, in order."""
        return LaterKnowledge(self.path, self._damage).updates(trajectory)

    def steps(self, mode: Mode | str | None = None) -> list[int]:
        """The steps that have trajectories, in order."""
        files = self._files(mode=mode, step=None, superseded=False)
        return sorted({file.name.step for file in files})

    def to_arrow(
        self,
        columns: Sequence[str] | None = None,
        *,
        mode: Mode | str | None = None,
        step: int | range | None = None,
        group: str | None = None,
        reward: tuple[float, float] | None = None,
        superseded: bool = False,
    ) -> pa.Table:
        """Columns of the trajectories that pass, as `rlvr.schema` declares them.

        Without `columns`: every scalar and derived column, none of the texts and tokens. Filters
        and order are those of `trajectories`.

        Raises:
            ConfigurationError: there is no such column.
        """
        schema = wanted_schema(columns)
        where = RowFilter(group=group, reward=reward)
        filled = LaterKnowledge.concerns(schema.names)
        read = wanted_schema(dict.fromkeys([*schema.names, "id"])) if filled else schema
        tables = [
            shaped(table, read)
            for file in self._files(mode=mode, step=step, superseded=superseded)
            for table in self._damage.tables(file.path, just(read.names), where)
        ]
        table = pa.concat_tables(tables) if tables else read.empty_table()
        if filled:
            table = LaterKnowledge(self.path, self._damage).fill_table(table)
        return table.select(schema.names)

    def to_pandas(self, columns: Sequence[str] | None = None, **filters: Any) -> "pd.DataFrame":
        """`to_arrow` as a data frame, with a column reward_COMPONENT for each component.

        pandas has one missing value: None and NaN look alike in it, as they do not in `to_arrow`.
        """
        import pandas as pd

        table = self.to_arrow(columns, **filters)
        if "rewards" not in table.column_names:
            return table.to_pandas()
        rewards = pd.DataFrame([dict(cell or ()) for cell in table["rewards"].to_pylist()])
        frame = table.drop_columns(["rewards"]).to_pandas()
        return pd.concat([frame, rewards.add_prefix("reward_")], axis=1)

    def metrics(self, *, superseded: bool = False) -> list[MetricRow]:
        """What the trainer logged, by attempt and time."""
        outdated = supersession(self.attempts)
        rows = [
            row
            for row in read_metrics(self.path, self._damage)
            if superseded or not outdated(row.attempt, row.step)
        ]
        return sorted(rows, key=lambda row: (row.attempt, row.logged_at))

    def annotations(self, id: str | None = None, kind: str | None = None) -> list[Annotation]:
        """The newest annotation of each (id, kind, source, update), in that order."""
        return read_annotations(self.path, self._damage, id=id, kind=kind)

    def vocabulary(self) -> tuple[str, ...]:
        """The text of each token id, from 0 on; empty where it was not recorded."""
        return self._damage.parsed(self.path / VOCABULARY_FILE, decode_vocabulary) or ()

    @property
    def size_bytes(self) -> int:
        """What the run takes on disk."""
        return folder_bytes(self.path)

    def pruning(self) -> Pruning:
        """What was taken out of the run after it was recorded, by its size limit or by hand."""
        return read_pruning(self.path, self._damage)

    def status(self) -> RunStatus:
        """What each process was offered, recorded and lost, and whether it lives."""
        return read_status(self.path, self._damage)

    def _files(
        self, *, mode: Mode | str | None, step: int | range | None, superseded: bool
    ) -> list[BatchFile]:
        wanted = _mode(mode)
        outdated = supersession(self.attempts)
        return [
            file
            for file in batch_files(self.path, self._damage)
            if matches(file.name, mode=wanted, step=step)
            and (superseded or not outdated(file.name.attempt, file.name.step))
        ]

    def _read(
        self, path: Path, choose: Callable[[Sequence[str]], list[str]], where: RowFilter
    ) -> Iterator[Trajectory]:
        def decode(table: pa.Table) -> Iterator[Trajectory]:
            return from_table(table, self._blob)

        for table in self._damage.tables(path, choose, where):
            yield from self._damage.rows(path, table, decode)

    def _blob(self, sha256: str) -> bytes:
        """The bytes of a blob; none, and noted, where its file is gone."""
        path = self.path / blob_path(sha256)
        payload = self._damage.document(path)
        if payload is None:
            self._damage.note(path, DamagedFile(f"{path} is gone; restore it from a copy."))
        return payload or b""

    def _no_such_id(self, id: str) -> str:
        place = parse_record_id(id)
        path = self.path / place[0].path if place else None
        if path is not None and path.exists():
            why = (
                "its file is damaged"
                if path in self._damage.paths()
                else "its file has no such row"
            )
            return f"no trajectory {id!r} in {self.path}: {why}."
        stems = [file.name.stem for file in batch_files(self.path, self._damage)]
        begun = [stem for stem in stems if stem.startswith(id)][:3]
        close = begun or difflib.get_close_matches(id.rpartition("-")[0] or id, stems, 3, 0.4)
        hint = ", ".join(f"{stem}-00000" for stem in close)
        return f"no trajectory {id!r} in {self.path}." + (f" Close ids: {hint}" if hint else "")


def _mode(mode: Mode | str | None) -> Mode | None:
    try:
        return None if mode is None else Mode(mode)
    except ValueError as error:
        raise ConfigurationError(f"no mode {mode!r}; use {' or '.join(Mode)}.") from error
