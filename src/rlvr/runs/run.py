"""One recorded run, read. A long module: what users ask a run stands in one class."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rlvr.codec import decode_run, decode_vocabulary
from rlvr.errors import ConfigurationError, DamagedFile
from rlvr.record import (
    Annotation,
    Attempt,
    Group,
    MetricRow,
    Mode,
    RunInfo,
    Trajectory,
    TrajectoryUpdate,
)
from rlvr.remote import Replica
from rlvr.runs.attempts import read_attempts, supersession
from rlvr.runs.batches import Batches, RecordedBatch
from rlvr.runs.columns import wanted_schema, without_tokens
from rlvr.runs.files import Damage, Origin, RowFilter, every_column
from rlvr.runs.frames import pandas_frame, polars_frame
from rlvr.runs.later import LaterKnowledge, metric_files, read_metrics
from rlvr.runs.notes import annotation_files, read_annotations
from rlvr.runs.pruned import Pruning, read_pruning
from rlvr.runs.rows import Rows
from rlvr.runs.status import RunStatus, read_status
from rlvr.store import RUN_FILE, VOCABULARY_FILE, folder_bytes, parse_record_id

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from rlvr.runs.executing import Result
    from rlvr.runs.index import RunIndex
    from rlvr.runs.search import Role, SearchPage, Sort


class Run:
    """A recorded run. Every call looks at the files anew, so a run being written can be read.

    Rows that a newer attempt has superseded are left out unless asked for. A file that can't be
    read is left out and named in `damaged`; only a newer format raises (NewerFormat).
    `others` names the places of further runs where `open_run` found several. A run behind a URL has
    a `replica`, whose folder `path` is; its files are fetched when they are read.
    """

    def __init__(
        self, path: Path, *, others: tuple[str, ...] = (), replica: Replica | None = None
    ) -> None:
        self.path = path
        self.others = others
        self._replica = replica
        self._damage = Damage(replica)
        self._batches = Batches(path, self._damage)
        self._rows = Rows(folder=path, place=self.place, batches=self._batches, damage=self._damage)
        self._info = self._damage.parsed(path / RUN_FILE, decode_run)

    def __repr__(self) -> str:
        return f"Run({self.place!r})"

    def reopened(self) -> "Run":
        """The same run with an index of its own, for questions of another thread."""
        return Run(self.path, others=self.others, replica=self._replica)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process that is given the run opens it anew."""
        return partial(Run, others=self.others, replica=self._replica), (self.path,)

    @property
    def place(self) -> str:
        """Where the run is: its folder, or its URL."""
        return str(self.path) if self._replica is None else self._replica.remote.shown

    @property
    def url(self) -> str | None:
        """The URL of a run that is not on this machine."""
        return None if self._replica is None else self._replica.remote.shown

    @property
    def origin(self) -> Origin | None:
        """Where the files of its folder come from; None where they are there."""
        return self._replica

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
        alone = [batch.place.path for batch in self._batches.all() if not batch.place.segment]
        for path in alone + metric_files(self.path) + annotation_files(self.path):
            self._damage.verify(path)
        self.status()
        return self._damage.files

    @property
    def damage_met(self) -> tuple[DamagedFile, ...]:
        """The files that could not be read so far; unlike `damaged` it opens none to find more."""
        return self._damage.files

    @property
    def damage_by_file(self) -> Mapping[Path, DamagedFile]:
        """`damage_met`, by the path of each file."""
        return self._damage.by_file

    def note_damage(self, damage: Mapping[Path, DamagedFile]) -> None:
        """Take in what was met elsewhere, in the same run opened anew."""
        self._damage.learn(damage)

    def trajectories(
        self,
        *,
        mode: Mode | str | None = None,
        step: int | range | None = None,
        group: str | None = None,
        reward: tuple[float, float] | None = None,
        where: str | None = None,
        superseded: bool = False,
        tokens: bool = True,
    ) -> Iterator[Trajectory]:
        """Every trajectory that passes, by attempt, step, mode, batch, rank and row.

        Args:
            mode: train or eval.
            step: one step, or a range of them.
            group: a group id.
            reward: lowest and highest total reward, both included.
            where: an expression, such as "reward < 0.2 and tool = 'retrieve'"; docs/queries.md has
                its names. Bounds on the step and the mode leave other files unopened.
            superseded: also rows that a newer attempt has superseded.
            tokens: False leaves token details out, which is faster.

        Raises:
            ConfigurationError: the expression is wrong.
        """
        choose = every_column if tokens else without_tokens
        batches, ids = self._passing(where, mode=mode, step=step, superseded=superseded)
        return self._rows.trajectories(
            batches, RowFilter(group=group, reward=reward, ids=ids), choose
        )

    def trajectory(self, id: str) -> Trajectory:
        """The trajectory of that id, superseded or not.

        Raises:
            RecordNotFound: there is none, or its file is damaged.
        """
        return self._rows.trajectory(id)

    def group(self, group_id: str) -> Group:
        """The rollouts of one group, by sample: of the newest batch that has it.

        Raises:
            RecordNotFound: there is no such group.
        """
        return self._rows.group(group_id)

    def updates(self, trajectory: Trajectory) -> tuple[TrajectoryUpdate, ...]:
        """Every optimizer update that trained one of its trajectories, in order."""
        return LaterKnowledge(self.path, self._damage).updates(trajectory)

    def updates_of(self, ids: Iterable[str]) -> Iterator[TrajectoryUpdate]:
        """Every optimizer update that trained one of these rollouts, without logprobs."""
        return LaterKnowledge(self.path, self._damage).updates_of(ids)

    def steps(self, mode: Mode | str | None = None) -> list[int]:
        """The steps that have trajectories, in order."""
        batches = self._rows.chosen(mode=_mode(mode), step=None, superseded=False)
        return sorted({batch.name.step for batch in batches})

    def to_arrow(
        self,
        columns: Sequence[str] | None = None,
        *,
        mode: Mode | str | None = None,
        step: int | range | None = None,
        group: str | None = None,
        reward: tuple[float, float] | None = None,
        where: str | None = None,
        superseded: bool = False,
    ) -> pa.Table:
        """Columns of the trajectories that pass, as `rlvr.schema` declares them.

        Without `columns`: every scalar and derived column, none of the texts and tokens. Filters
        and order are those of `trajectories`.

        Raises:
            ConfigurationError: there is no such column, or the expression is wrong.
        """
        schema = wanted_schema(columns)
        batches, ids = self._passing(where, mode=mode, step=step, superseded=superseded)
        return self._rows.table(batches, RowFilter(group=group, reward=reward, ids=ids), schema)

    def to_pandas(self, columns: Sequence[str] | None = None, **filters: Any) -> "pd.DataFrame":
        """`to_arrow` as a data frame, with a column reward_COMPONENT for each component.

        pandas has one missing value: None and NaN look alike in it, as they do not in `to_arrow`.
        """
        return pandas_frame(self.to_arrow(columns, **filters))

    def search(
        self,
        text: str,
        *,
        step: int | range | None = None,
        mode: Mode | str | None = None,
        group: str | None = None,
        reward: tuple[float, float] | None = None,
        tool: str | None = None,
        where: str | None = None,
        roles: "Iterable[Role | str]" = (),
        superseded: bool = False,
        substring: bool = False,
        sort: "Sort | str | None" = None,
        limit: int = 20,
        offset: int = 0,
        cache: Path | None = None,
    ) -> "SearchPage":
        """The trajectories in whose texts the words stand, a page of them, each with its context.

        The words are kept in an index, which is brought up to date first: in this user's caches, or
        in the folder `cache`. docs/search.md has the language of queries.

        Args:
            text: the query; with `substring` a text that is found as it is written, without an
                index.
            tool: rollouts that called this tool only.
            where: an expression, as `trajectories` takes it.
            roles: the texts that are searched, such as "tool"; all, if none is named.
            sort: "relevance" or "step"; without it relevance where no more than 5,000 match.

        Raises:
            ConfigurationError: the text is no query, the expression is wrong, or there is no such
                mode, role or sort.
            StoreError: no index can be made, not even in memory.
        """
        from rlvr.runs.search import Filters, SearchRequest, named_roles, named_sort, search
        from rlvr.utils.caches import cache_folder

        filters = Filters(
            step=step,
            mode=_mode(mode),
            group=group,
            reward=reward,
            ids=self.passing(where, step=step, mode=mode, superseded=superseded),
            tool=tool,
            superseded=superseded,
        )
        request = SearchRequest(
            text=text,
            filters=filters,
            roles=named_roles(roles),
            substring=substring,
            sort=named_sort(sort),
            limit=limit,
            offset=offset,
        )
        return search(
            self.path,
            request,
            caches=cache or cache_folder(),
            origin=self._replica,
            footers=self._batches.footers,
        )

    def to_polars(self, columns: Sequence[str] | None = None, **filters: Any) -> "pl.DataFrame":
        """`to_arrow` as a polars data frame.

        Raises:
            MissingDependency: polars is not installed.
        """
        return polars_frame(self.to_arrow(columns, **filters))

    @cached_property
    def index(self) -> "RunIndex":
        """Questions over all rollouts, answered from memory; it knows what its last `refresh` saw,
        the first of which is made by its first question. `sql` and `where` refresh it too."""
        from rlvr.runs.index import RunIndex

        return RunIndex(self.path, self._batches, self._damage)

    def sql(
        self, query: str, *, limit: int = 1_000_000, timeout_s: float | None = None
    ) -> "Result":
        """What a SELECT over the run gives, as it is now; at most `limit` rows.

        The tables are trajectories, all_trajectories, components, tool_calls, metrics and
        annotations; docs/queries.md has their columns.

        Raises:
            ConfigurationError: the query is wrong, is no single SELECT, or took longer than
                `timeout_s`.
        """
        return self.index.sql(query, limit=limit, timeout_s=timeout_s)

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
    def known_rollouts(self) -> int:
        """How many it has at least: by the counts of its processes or the footers of compacted
        files, whichever know of more; no other file is opened."""
        segments = (batch.place.segment for batch in self._batches.all())
        compacted = sum(segment.rows for segment in segments if segment is not None)
        return max(self.status().recorded, compacted)

    @property
    def size_bytes(self) -> int:
        """What the run takes where it is."""
        return folder_bytes(self.path) if self._replica is None else self._replica.size_bytes

    def pruning(self) -> Pruning:
        """What was taken out of the run after it was recorded, by its size limit or by hand."""
        return read_pruning(self.path, self._batches, self._damage)

    def status(self) -> RunStatus:
        """What each process was offered, recorded and lost, and whether it lives."""
        return read_status(self.path, self._batches, self._damage)

    def file_of(self, id: str) -> tuple[Path, int] | None:
        """The file that a trajectory is read from, and its row there; None where there is none.

        Rows that could not be recorded count as if they were there.
        """
        place = parse_record_id(id)
        batch = self._batches.find(place[0]) if place else None
        if place is None or batch is None:
            return None
        segment = batch.place.segment
        return batch.place.path, place[1] + (segment.first if segment else 0)

    def passing(
        self,
        where: str | None,
        *,
        mode: Mode | str | None = None,
        step: int | range | None = None,
        superseded: bool = False,
    ) -> frozenset[str] | None:
        """The ids of the trajectories that pass an expression; None where there is none.

        Raises:
            ConfigurationError: the expression is wrong.
        """
        if where is None:
            return None
        found = self.index.ids(where, mode=_mode(mode), step=step, superseded=superseded, anew=True)
        return frozenset(found)

    def _passing(
        self,
        where: str | None,
        *,
        mode: Mode | str | None,
        step: int | range | None,
        superseded: bool,
    ) -> tuple[list[RecordedBatch], frozenset[str] | None]:
        """The batches that have rows which pass, and their ids; None where all rows may."""
        ids = self.passing(where, mode=mode, step=step, superseded=superseded)
        batches = self._rows.chosen(mode=_mode(mode), step=step, superseded=superseded)
        if ids is None:
            return batches, None
        places = (parse_record_id(id) for id in ids)
        names = {place[0] for place in places if place is not None}
        return [batch for batch in batches if batch.name in names], ids


def _mode(mode: Mode | str | None) -> Mode | None:
    try:
        return None if mode is None else Mode(mode)
    except ValueError as error:
        raise ConfigurationError(f"no mode {mode!r}; use {' or '.join(Mode)}.") from error
