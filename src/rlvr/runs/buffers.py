"""Arrow arrays from numpy's and back by their buffers.

`pa.array`, `to_numpy` and a Python value in `pyarrow.compute` import pandas: a third of a second
when a run is opened.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def flags(values: npt.NDArray[np.bool_]) -> Any:
    """An array of true and false."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def whole_numbers(values: npt.NDArray[np.int64], known: npt.NDArray[np.bool_] | None = None) -> Any:
    """An array of int64, null where a value is not `known`."""
    validity = None if known is None else _bits(known)
    return pa.Array.from_buffers(pa.int64(), len(values), [validity, pa.py_buffer(values.data)])


def text(value: str) -> Any:
    """A text as a scalar."""
    encoded = value.encode()
    ends = np.array([0, len(encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends.data), pa.py_buffer(encoded)]
    return pa.Array.from_buffers(pa.string(), 1, buffers)[0]


def number(value: float) -> Any:
    """A number as a scalar."""
    held = np.array([value], dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(held.data)])[0]


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """An array of numbers none of which is null; nothing is copied."""
    if not len(array):
        return np.empty(0, dtype=_TYPES[array.type])
    values = np.frombuffer(array.buffers()[1], dtype=_TYPES[array.type])
    return values[array.offset : array.offset + len(array)]


_TYPES: Mapping[pa.DataType, type[np.number[Any]]] = {pa.int32(): np.int32, pa.int64(): np.int64}


def _bits(values: npt.NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little").tobytes())
