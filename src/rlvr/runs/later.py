"""What was learnt of a record after it was written: other processes' forwards, and the updates.

What is filled in was absent; nothing that is there is changed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.codec import METRICS_SCHEMA, metrics_from_table, unpack, unpack_floats, unpack_marks
from rlvr.errors import DamagedFile
from rlvr.record import (
    FORWARD_EVIDENCE,
    FORWARD_FIELDS,
    FORWARD_TOKENS,
    UPDATE_EVIDENCE,
    UPDATE_TOKENS,
    Annotation,
    MetricRow,
    TokenDetails,
    TrainingSequence,
    Trajectory,
    TrajectoryUpdate,
)
from rlvr.runs.files import UNREADABLE, Damage, every_column, visible
from rlvr.runs.notes import Notes
from rlvr.store import METRICS_FOLDER

_FORWARD = frozenset(FORWARD_FIELDS)
_CLIPPED = "clipped_share"
_NAN = float("nan")


def metric_files(folder: Path) -> list[Path]:
    """Files of metric rows."""
    return visible(folder / METRICS_FOLDER)


def read_metrics(folder: Path, damage: Damage) -> Iterator[MetricRow]:
    """Every metric row, in the order of the files."""
    damage.look()
    for path in metric_files(folder):
        for table in damage.tables(path, METRICS_SCHEMA, every_column):
            yield from damage.rows(path, table, metrics_from_table)


class LaterKnowledge:
    """What annotations add to the records of one run."""

    def __init__(self, folder: Path, damage: Damage) -> None:
        self._folder = folder
        self._damage = damage
        self._forwards = Notes(folder, damage, FORWARD_EVIDENCE)
        self._forward_tokens = Notes(folder, damage, FORWARD_TOKENS)
        self._updates = Notes(folder, damage, UPDATE_EVIDENCE)
        self._update_tokens = Notes(folder, damage, UPDATE_TOKENS)

    @staticmethod
    def concerns(columns: Sequence[str]) -> bool:
        """Whether one of the columns can be filled."""
        return not _FORWARD.isdisjoint(columns) or _CLIPPED in columns

    def fill(self, trajectory: Trajectory) -> Trajectory:
        """The trajectory with the absent fields of its evidence and token details filled."""
        id = trajectory.id or ""
        found = {**self._forward(id), _CLIPPED: self._clipped(id)}
        added: dict[str, Any] = {
            name: value
            for name, value in found.items()
            if value is not None and getattr(trajectory.evidence, name) is None
        }
        if added:
            trajectory = replace(trajectory, evidence=replace(trajectory.evidence, **added))
        if trajectory.tokens is None:
            return trajectory
        try:
            return replace(trajectory, tokens=self._filled(id, trajectory.tokens))
        except UNREADABLE as error:
            self._alien(FORWARD_TOKENS, id, error)
            return trajectory

    def fill_table(self, table: pa.Table) -> pa.Table:
        """A table with a column `id`, with absent cells filled; looks at rows with notes alone."""
        names = set(table.column_names)
        for fields, notes, found in (
            (_FORWARD & names, self._forwards, self._forward),
            ({_CLIPPED} & names, self._updates, self._clip),
        ):
            rows = notes.rows(table["id"]) if fields else []
            if rows:
                packed: list[Any] = table["id"].take(rows).to_pylist()
                added = [found(unpack(id)) for id in packed]
                for name in fields:
                    cells = [cell.get(name) for cell in added]
                    table = _with_cells(table, name, rows, cells)
        return table

    def updates(self, trajectory: Trajectory) -> tuple[TrajectoryUpdate, ...]:
        """Every update that trained it, in order."""
        id = trajectory.id or ""
        tokens = {(note.source, note.update): note for note in self._update_tokens.of(id)}
        found = []
        for note in self._updates.of(id):
            try:
                found.append(_update(note, tokens.get((note.source, note.update)), trajectory))
            except UNREADABLE as error:
                self._alien(UPDATE_EVIDENCE, id, error)
        return tuple(sorted(found, key=lambda update: (update.update, update.rank)))

    def updates_of(self, ids: Iterable[str]) -> Iterator[TrajectoryUpdate]:
        """Every update that trained one of these rollouts, without logprobs."""
        for id in ids:
            for note in self._updates.of(id):
                try:
                    yield _update(note, None, None)
                except UNREADABLE as error:
                    self._alien(UPDATE_EVIDENCE, id, error)

    def _forward(self, id: str) -> Mapping[str, Any]:
        return {
            name: tuple(value) if isinstance(value, list) else value
            for note in self._forwards.of(id)
            for name, value in note.payload.items()
            if name in _FORWARD
        }

    def _clip(self, id: str) -> Mapping[str, Any]:
        return {_CLIPPED: self._clipped(id)}

    def _clipped(self, id: str) -> float | None:
        shares: list[Any] = [note.payload.get(_CLIPPED) for note in self._updates.of(id)]
        known = [share for share in shares if share is not None]
        return fmean(known) if known else None

    def _filled(self, id: str, details: TokenDetails) -> TokenDetails:
        sequences = list(details.sequences)
        for note in self._forward_tokens.of(id):
            sequences = [_with_forward(s, note, at) for at, s in enumerate(sequences)]
        for note in self._update_tokens.of(id)[:1]:
            cells = _cells(note.payload, "reference_logprobs", sequences)
            sequences = [
                replace(s, reference_logprobs=cell) if s.reference_logprobs is None else s
                for s, cell in zip(sequences, cells, strict=True)
            ]
        return replace(details, sequences=tuple(sequences))

    def _alien(self, kind: str, id: str, error: Exception) -> None:
        path = self._folder / "annotations" / kind
        self._damage.note(path, DamagedFile(f"{path}: that of {id} does not decode ({error})."))


def _with_cells(table: pa.Table, name: str, rows: Sequence[int], cells: list[Any]) -> pa.Table:
    """The table with cells of a column in some of its rows, where these were absent."""
    place = table.column_names.index(name)
    field = table.schema.field(name)
    at = np.full(table.num_rows, -1)
    at[rows] = np.arange(len(rows))
    spread = pa.array(cells, type=field.type).take(pa.array(at, mask=at < 0))
    return table.set_column(place, field, pc.coalesce(table[name], spread))


def _with_forward(sequence: TrainingSequence, note: Annotation, at: int) -> TrainingSequence:
    cells = {name: _at(note.payload, name, at) for name in _DECODERS}
    added: dict[str, Any] = {
        name: _DECODERS[name](text)
        for name, text in cells.items()
        if text is not None and getattr(sequence, name) is None
    }
    return replace(sequence, **added)


_DECODERS: Mapping[str, Any] = {
    "attended": unpack_marks,
    "trainer_logprobs": unpack_floats,
    "entropy": unpack_floats,
}


def _update(
    note: Annotation, tokens: Annotation | None, trajectory: Trajectory | None
) -> TrajectoryUpdate:
    told: Mapping[str, Any] = note.payload
    logprobs: dict[str, Any] = {}
    if tokens is not None and trajectory is not None and trajectory.tokens is not None:
        sequences = trajectory.tokens.sequences
        logprobs = {name: tuple(_cells(tokens.payload, name, sequences)) for name in tokens.payload}
    return TrajectoryUpdate(
        update=note.update or 0,
        rank=int(told["rank"]),
        micro_batches=tuple(told["micro_batches"]),
        clipped_share=told.get(_CLIPPED),
        kl_mean=told.get("kl_mean"),
        trainer_logprobs=logprobs.get("trainer_logprobs"),
        reference_logprobs=logprobs.get("reference_logprobs"),
    )


def _cells(
    payload: Mapping[str, Any], name: str, sequences: Sequence[TrainingSequence]
) -> list[tuple[float, ...] | None]:
    """Packed logprobs of the tokens with a loss, spread over all tokens of each sequence."""
    return [_spread(_at(payload, name, at), sequence) for at, sequence in enumerate(sequences)]


def _spread(text: str | None, sequence: TrainingSequence) -> tuple[float, ...] | None:
    if text is None:
        return None
    values = iter(unpack_floats(text))
    # Nothing predicts the first token.
    trained = (at > 0 and bool(masked) for at, masked in enumerate(sequence.loss_mask))
    return tuple(next(values) if one else _NAN for one in trained)


def _at(payload: Mapping[str, Any], name: str, at: int) -> Any:
    cells = payload.get(name) or ()
    return cells[at] if at < len(cells) else None
