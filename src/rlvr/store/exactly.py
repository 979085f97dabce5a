"""Whether two tables hold the same values, bit by bit: NaN is NaN, and 0.0 is not -0.0."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_BITS = {pa.float64(): pa.int64(), pa.float32(): pa.int32(), pa.float16(): pa.int16()}


def same_values(one: pa.Table, other: pa.Table) -> bool:
    """Whether the columns of one table are in the other, with equal values in the same rows."""
    return one.num_rows == other.num_rows and all(
        _same(one[name].combine_chunks(), other[name].combine_chunks()) for name in one.column_names
    )


def _same(one: Any, other: Any) -> bool:
    if one.type != other.type:
        return False
    return all(a.equals(b) for a, b in zip(_flat(one), _flat(other), strict=True))


def _flat(array: Any) -> Iterator[Any]:
    """Arrays without NaN that are equal where those of another array of its type are."""
    if pt.is_map(array.type):
        entries = pa.struct([array.type.key_field, array.type.item_field])
        array = array.cast(pa.list_(entries))
    if pt.is_list(array.type) or pt.is_large_list(array.type):
        yield pc.list_value_length(array)
        yield from _flat(array.flatten())
    elif pt.is_struct(array.type):
        yield array.is_valid()
        for part in array.flatten():
            yield from _flat(part)
    elif array.type in _BITS:
        yield array.is_valid()
        yield pc.fill_null(array, 0.0).view(_BITS[array.type])
    else:
        yield array
