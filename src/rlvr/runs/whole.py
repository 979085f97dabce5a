"""The batches of a run as tables, each whole or not at all, for those who keep a copy elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rlvr.errors import DamagedFile
from rlvr.runs.attempts import supersession
from rlvr.runs.batches import Batches, BatchReader, RecordedBatch
from rlvr.runs.columns import just, present, wanted_schema
from rlvr.runs.files import Damage
from rlvr.runs.later import LaterKnowledge
from rlvr.runs.run import Run
from rlvr.runs.status import RankStatus
from rlvr.store import BatchName

_SILENT_S = 600.0
_STILL_WRITTEN_TO = 3
"""Of a training, the newest so many batches may still be annotated: by the forward passes of other
processes, and by the updates that train them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBatch:
    """A batch and the number of its rows."""

    name: BatchName
    rows: int


class WholeBatches:
    """The batches of a run as they are when this is made, without superseded ones.

    `finished` are those of which nothing more will be learnt while the run is recorded, in their
    order; `waiting` is how many others there are. `damaged` names the files that could not be read.
    """

    def __init__(self, run: Run, columns: Sequence[str]) -> None:
        self._run = run
        self._damage = Damage(run.origin)
        self._batches = Batches(run.path, self._damage)
        self._schema = wanted_schema(columns)
        self._found = {batch.name: batch for batch in self._batches.all()}
        self.superseded = supersession(run.attempts)
        current = [name for name in self._found if not self.superseded(name.attempt, name.step)]
        unsettled = _unsettled(run, current)
        sized = (
            WholeBatch(name=name, rows=self._batches.rows(self._found[name]))
            for name in current
            if name not in unsettled
        )
        self.finished = [batch for batch in sized if batch.rows]  # none: it can't be read
        self.waiting = len(unsettled)

    @property
    def damaged(self) -> tuple[DamagedFile, ...]:
        """The files that could not be read so far."""
        return self._damage.files

    def tables(self, batches: Iterable[WholeBatch]) -> Iterator[pa.Table]:
        """The rows of each batch, with what was learnt of them later; none of a damaged one."""
        later = LaterKnowledge(self._run.path, self._damage)
        with BatchReader(self._batches, self._damage) as reader:
            for batch in batches:
                table = self._table(reader, self._found[batch.name])
                if table.num_rows == batch.rows:
                    yield later.fill_table(table)

    def _table(self, reader: BatchReader, batch: RecordedBatch) -> pa.Table:
        pieces = reader.pieces([batch], just(self._schema.names))
        tables = [present(piece, self._schema, self._damage) for piece in pieces]
        return pa.concat_tables(tables) if tables else self._schema.empty_table()


def _unsettled(run: Run, names: Iterable[BatchName]) -> frozenset[BatchName]:
    """The newest training batches of an attempt that is still recorded."""
    newest = run.status().newest
    if not any(_may_live(rank) for rank in newest):
        return frozenset()
    config: Mapping[str, object] = run.info.config if run.info else {}
    ahead = config.get("num_batches_ahead")
    count = _STILL_WRITTEN_TO + (ahead if isinstance(ahead, int) else 0)
    own = [name for name in names if name.attempt == newest[0].attempt and name.mode == "train"]
    kept = set(sorted({(name.step, name.batch) for name in own})[-count:])
    return frozenset(name for name in own if (name.step, name.batch) in kept)


def _may_live(rank: RankStatus) -> bool:
    """Whether a process may still write; one of another machine tells by its silence."""
    if rank.closed:
        return False
    return rank.silent_s < _SILENT_S if rank.alive is None else rank.alive
