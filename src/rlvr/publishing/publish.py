"""Publishing a run: what its Delta table lacks is added, and what a resume superseded goes.

The table itself says what was published, so that a publication which was killed at any moment is
completed by the next: a transaction adds whole batches, and a batch that is there is not added.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from rlvr.errors import StoreError
from rlvr.publishing.reaching import Overtaken
from rlvr.publishing.table import COLUMN_NAMES, PublishedTable
from rlvr.runs import Run
from rlvr.runs.whole import WholeBatch, WholeBatches

_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """How much one transaction adds at most: whole batches up to these rows, or Arrow bytes.

    Delta's client takes some five times these bytes of memory.
    """

    rows: int = 100_000
    bytes: int = 64 << 20


DEFAULT_PORTION = Portion()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lacking:
    """What a table lacks of a run. `outdated`: {attempt: step} from which on its rows go."""

    batches: tuple[WholeBatch, ...]
    outdated: dict[int, int]

    @property
    def rows(self) -> int:
        """The rows to be added."""
        return sum(batch.rows for batch in self.batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What was done, or is to be done.

    added, removed: rows; removed is None where nothing was done yet. batches: those that were
    added. waiting: the newest batches of a living run, of which more may become known. version: of
    the table. damaged: files whose rows are not in it, each with its reason.
    """

    run: str
    url: str
    version: int | None
    added: int
    batches: int
    removed: int | None
    waiting: int
    damaged: tuple[str, ...]


def publish(
    run: Run,
    table: PublishedTable,
    *,
    dry_run: bool = False,
    portion: Portion = DEFAULT_PORTION,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> PublishReport:
    """Bring a table up to a run; with `dry_run` say what that would add.

    `on_progress` hears of the rows that were added, and of all that are to be.

    Raises:
        RemoteUnavailable: the table can't be reached. What was added is whole.
        StoreError: other processes keep changing the table.
    """
    work = _Publishing(run, table, portion, on_progress)
    if dry_run:
        lacking = work.lacking()
        work.added, work.batches = lacking.rows, len(lacking.batches)
    else:
        work.bring_up()
    return PublishReport(
        run=run.id,
        url=table.shown,
        version=table.version,
        added=work.added,
        batches=work.batches,
        removed=None if dry_run else work.removed,
        waiting=work.whole.waiting,
        damaged=tuple(map(str, work.whole.damaged)),
    )


class _Publishing:
    """One publication: what was added and removed so far, as rows and batches."""

    def __init__(
        self,
        run: Run,
        table: PublishedTable,
        portion: Portion,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self.whole = WholeBatches(run, COLUMN_NAMES)
        self.added = self.batches = self.removed = 0
        self._run = run.id
        self._table = table
        self._portion = portion
        self._on_progress = on_progress

    def lacking(self) -> _Lacking:
        """What the table lacks, and what goes."""
        there = self._table.published(self._run)
        outdated: dict[int, int] = {}
        for name in there:
            if self.whole.superseded(name.attempt, name.step):
                outdated[name.attempt] = min(outdated.get(name.attempt, name.step), name.step)
        return _Lacking(
            batches=tuple(batch for batch in self.whole.finished if batch.name not in there),
            outdated=outdated,
        )

    def bring_up(self) -> None:
        """Publish what is lacking, looking anew wherever another process changed the table."""
        for _ in range(_TRIES):
            with contextlib.suppress(Overtaken):
                if self._publish(self.lacking()):
                    return
            self._table.look()
        raise StoreError(
            f"{self._table.shown} is changed by other processes again and again. Publish when they"
            " are done."
        )

    def _publish(self, lacking: _Lacking) -> bool:
        """Publish it; False where another process changed the table meanwhile.

        What is outdated goes first: a reader never sees a step of two attempts.

        Raises:
            Overtaken: as before, and the last transaction changed nothing.
        """
        total = self.added + lacking.rows
        if lacking.batches or lacking.outdated:
            self._table.create()
        if lacking.outdated:
            self.removed += self._table.remove(self._run, lacking.outdated)
        for taken in _portions(self.whole.tables(lacking.batches), self._portion):
            if self._table.overtaken:
                return False
            self._table.append(self._run, taken)
            self.added += taken.rows
            self.batches += taken.batches
            self._on_progress(self.added, total)
        return True


class _Taken:
    """The first of the tables, up to a portion, and how many rows and batches these turned out."""

    def __init__(self, tables: Iterator[pa.Table], portion: Portion) -> None:
        self.rows = self.batches = 0
        self._tables = tables
        self._portion = portion

    def __iter__(self) -> Iterator[pa.Table]:
        size = 0
        for table in self._tables:
            self.rows += table.num_rows
            self.batches += 1
            size += table.nbytes
            yield table
            if self.rows >= self._portion.rows or size >= self._portion.bytes:
                return


def _portions(tables: Iterator[pa.Table], portion: Portion) -> Iterator[_Taken]:
    """What each transaction adds; to be used up one after the other."""
    for first in tables:
        yield _Taken(chain([first], tables), portion)
