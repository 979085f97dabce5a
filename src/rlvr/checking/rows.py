"""Checks of single rows: their place, their texts, and what follows from their content."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from rlvr.analysis.reward import reward_arithmetic
from rlvr.checking.answers import Answers
from rlvr.checking.sequences import check_tokens
from rlvr.codec import derived_columns, derived_version, from_table, pack
from rlvr.record import Part, Trajectory
from rlvr.runs.files import UNREADABLE
from rlvr.schema import DERIVED, DERIVED_VERSION
from rlvr.store import BatchName, parse_record_id

PLACE_COLUMNS = ("id", "run", "mode", "step", "batch", "attempt", "rank")
_TOLERANCE = 1e-5


def check_places(
    table: pa.Table, name: BatchName, run: str, first: int, answers: Answers
) -> tuple[int, int]:
    """Ids and identity of rows, of which the first may have the row number `first` or a later one.

    Rows that could not be encoded are left out and keep their numbers. Returns the number after
    the last row and how many numbers were left out.
    """
    expected = {
        "run": pack(run),
        "mode": name.mode.value,
        "step": name.step,
        "batch": name.batch,
        "attempt": name.attempt,
        "rank": name.rank,
    }
    left_out = 0
    for row in table.select(list(PLACE_COLUMNS)).to_pylist():
        id = str(row["id"])
        place = parse_record_id(id)
        answers.seen("ids")
        answers.seen("names")
        if place is None or place[0] != name or place[1] < first:
            why = f"stands in {name.stem}, row {first}"
            answers.wrong("ids", id, why, is_id=place is not None)
            first += 1
        else:
            left_out += place[1] - first
            first = place[1] + 1
        other = [f"{key} {row[key]!r}" for key, value in expected.items() if row[key] != value]
        if other:
            answers.wrong("names", id, f"says {', '.join(other)}", is_id=place is not None)
    return first, left_out


def decoded(table: pa.Table, answers: Answers) -> Iterator[tuple[int, Trajectory]]:
    """The rows that decode, each with its place in the table; what does not is wrong."""
    answers.seen("texts", table.num_rows)
    try:
        rows = list(from_table(table, _no_blob))
    except UNREADABLE:
        rows = []
    if rows or not table.num_rows:
        yield from enumerate(rows)
        return
    for at in range(table.num_rows):
        try:
            yield at, next(from_table(table.slice(at, 1), _no_blob))
        except UNREADABLE as error:
            id = str(table["id"][at].as_py())
            answers.wrong("texts", id, " ".join(str(error).split())[:200], is_id=True)


class RowChecks:
    """What the content of a rollout must agree with."""

    def __init__(self, weights: Mapping[str, float], vocabulary: int, answers: Answers) -> None:
        self.blobs: set[str] = set()
        self.pruned: frozenset[Part] = frozenset()
        self.sums = True
        self._weights = weights
        self._vocabulary = vocabulary
        self._answers = answers

    def check(self, table: pa.Table) -> None:
        """Every row of a table with all columns of its file."""
        present = [c.name for c in DERIVED if c.name in table.column_names]
        stored: list[dict[str, Any]] = table.select(present).to_pylist()
        comparable = self._comparable(table)
        for at, trajectory in decoded(table, self._answers):
            self.blobs.update(blob.sha256 for blob in trajectory.blobs)
            if comparable:
                self._derived(trajectory, stored[at])
            if self.sums:
                self._total(trajectory)
            check_tokens(trajectory, self._vocabulary, self._answers)

    def _comparable(self, table: pa.Table) -> bool:
        version = derived_version(table.schema.metadata)
        if Part.MESSAGES in self.pruned:
            self._answers.note("derived", "what messages were pruned of can't be derived anew")
            return False
        if version == DERIVED_VERSION:
            return True
        said = f"this rlvr derives version {DERIVED_VERSION}, and some files hold {version}"
        newer = "; upgrade it: pip install --upgrade rlvr" if version > DERIVED_VERSION else ""
        self._answers.note("derived", said + newer)
        self._answers.unknown("derived", said + newer)
        return False

    def _derived(self, trajectory: Trajectory, stored: Mapping[str, Any]) -> None:
        self._answers.seen("derived")
        anew = derived_columns(trajectory)
        other = [name for name, value in stored.items() if value != anew[name]]
        if other:
            name = other[0]
            why = f"{name} is {stored[name]!r}, its content says {anew[name]!r}"
            self._answers.wrong("derived", trajectory.id or "", why, is_id=True)

    def _total(self, trajectory: Trajectory) -> None:
        arithmetic = reward_arithmetic(trajectory, self._weights)
        pairs = list(zip(arithmetic.components, arithmetic.weights, strict=True))
        if arithmetic.agrees is None or any(
            weight is None and part.value is not None for part, weight in pairs
        ):
            self._answers.unknown("totals", "the weights of the components are not recorded")
            return
        self._answers.seen("totals")
        if arithmetic.agrees or _finite_sum(arithmetic.contributions, arithmetic.recorded):
            return
        why = f"is {arithmetic.recorded:.6g}, its components give {arithmetic.total:.6g}"
        self._answers.wrong("totals", trajectory.id or "", why, is_id=True)


def _finite_sum(parts: tuple[float | None, ...], recorded: float | None) -> bool:
    """Whether the trainer left NaN out of its sum, as TRL does."""
    known = [part for part in parts if part is not None and not math.isnan(part)]
    total = math.fsum(known)
    return recorded is not None and math.isclose(
        total, recorded, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE
    )


def _no_blob(_: str) -> bytes:
    """Blobs are checked by their own files."""
    return b""
