"""Token details to nested Arrow lists, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rlvr.codec.text import pack, unpack
from rlvr.record import Span, TokenDetails, TrainingSequence
from rlvr.schema import TOKENS, Column

_FIELDS: Mapping[str, str] = {
    "token_ids": "ids",
    "token_loss_mask": "loss_mask",
    "token_attended": "attended",
    "token_spans": "spans",
    "token_sampler_logprobs": "sampler_logprobs",
    "token_trainer_logprobs": "trainer_logprobs",
    "token_reference_logprobs": "reference_logprobs",
    "token_entropy": "entropy",
}
_EXPECTED = "token_expected_ids"


def token_arrays(
    details: Sequence[TokenDetails | None],
) -> list[tuple[Column, "pa.Array[Any]"]]:
    """Each token column with a list of lists for each trajectory, null where it has no tokens."""
    return [
        (column, _expected(details) if column.name == _EXPECTED else _array(column, details))
        for column in TOKENS
    ]


def to_token_details(row: Mapping[str, Any]) -> TokenDetails | None:
    """The token details of a row, or None where it has none or they were not read."""
    ids = row.get("token_ids")
    if ids is None:
        return None
    expected = row.get("token_expected_ids")
    sequences = []
    for place in range(len(ids)):
        cells = {field: row[name][place] for name, field in _FIELDS.items()}
        spans = tuple(_span(span) for span in cells.pop("spans"))
        sequences.append(TrainingSequence(spans=spans, **_tuples(cells)))
    return TokenDetails(
        sequences=tuple(sequences),
        expected_ids=None if expected is None else tuple(tuple(ids) for ids in expected),
    )


def _span(cell: Mapping[str, Any]) -> Span:
    return Span(
        start=cell["start"], stop=cell["stop"], turn=cell["turn"], role=unpack(cell["role"])
    )


def _array(column: Column, details: Sequence[TokenDetails | None]) -> "pa.Array[Any]":
    """Lists of lists by their offsets, many times as fast as by nested Python lists."""
    field = _FIELDS[column.name]
    sequences = [s for detail in details if detail is not None for s in detail.sequences]
    cells = [getattr(sequence, field) for sequence in sequences]
    counts = [None if detail is None else len(detail.sequences) for detail in details]
    lengths = [None if cell is None else len(cell) for cell in cells]
    values = _values(column, [cell for cell in cells if cell is not None])
    return _lists(counts, _lists(lengths, values))


def _expected(details: Sequence[TokenDetails | None]) -> "pa.Array[Any]":
    expected = [None if detail is None else detail.expected_ids for detail in details]
    cells = [ids for sequences in expected if sequences is not None for ids in sequences]
    counts = [None if sequences is None else len(sequences) for sequences in expected]
    parts = [np.asarray(ids, dtype=np.int64) for ids in cells]
    values = pa.array(np.concatenate(parts) if parts else np.empty(0, np.int64))
    return _lists(counts, _lists([len(ids) for ids in cells], values))


def _values(column: Column, cells: Sequence[Any]) -> "pa.Array[Any]":
    """The values of all sequences, one after another."""
    if column.name == "token_spans":
        spans = [_span_cell(span) for spans in cells for span in spans]
        return pa.array(spans, type=column.value_type)
    kind = np.float64 if column.value_type == pa.float64() else np.int64
    parts = [np.asarray(cell, dtype=kind) for cell in cells]
    return pa.array(np.concatenate(parts) if parts else np.empty(0, kind))


def _lists(lengths: Sequence[int | None], values: "pa.Array[Any]") -> "pa.Array[Any]":
    """The values cut into lists of these lengths, null where there is no list."""
    offsets: list[int | None] = []
    end = 0
    for length in lengths:
        offsets.append(None if length is None else end)
        end += length or 0
    ends: Any = pa.array([*offsets, end], type=pa.int32())
    lists: pa.Array[Any] = pa.ListArray.from_arrays(ends, values)
    return lists


def _span_cell(span: Span) -> dict[str, Any]:
    return {
        "start": span.start,
        "stop": span.stop,
        "turn": span.turn,
        "role": pack(span.role),
    }


def _tuples(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if cell is None else tuple(cell) for name, cell in cells.items()}
