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


def token_arrays(
    details: Sequence[TokenDetails | None],
) -> list[tuple[Column, "pa.Array[Any]"]]:
    """Each token column with a list of lists for each trajectory, null where it has no tokens."""
    return [(column, pa.array(_cells(column, details), type=column.type)) for column in TOKENS]


def to_token_details(row: Mapping[str, Any]) -> TokenDetails | None:
    """The token details of a row, or None where it has none or they were not read."""
    ids = row.get("token_ids")
    if ids is None:
        return None
    sequences = []
    for place in range(len(ids)):
        cells = {field: row[name][place] for name, field in _FIELDS.items()}
        spans = tuple(_span(span) for span in cells.pop("spans"))
        sequences.append(TrainingSequence(spans=spans, **_tuples(cells)))
    return TokenDetails(sequences=tuple(sequences))


def _span(cell: Mapping[str, Any]) -> Span:
    return Span(
        start=cell["start"], stop=cell["stop"], turn=cell["turn"], role=unpack(cell["role"])
    )


def _cells(column: Column, details: Sequence[TokenDetails | None]) -> list[list[Any] | None]:
    field = _FIELDS[column.name]
    return [
        None
        if detail is None
        else [_values(column, getattr(sequence, field)) for sequence in detail.sequences]
        for detail in details
    ]


def _values(column: Column, values: Any) -> Any:
    """Token values as an array of the column's own type, which Arrow takes whole."""
    if values is None:
        return None
    if column.name == "token_spans":
        return [
            {"start": span.start, "stop": span.stop, "turn": span.turn, "role": pack(span.role)}
            for span in values
        ]
    kind = np.float64 if column.value_type == pa.float64() else np.int64
    return np.asarray(values, dtype=kind)


def _tuples(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if cell is None else tuple(cell) for name, cell in cells.items()}
