"""Rows of a table by a mask."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def masked(table: pa.Table, mask: Sequence[bool]) -> pa.Table:
    """The rows for which the mask is true."""
    # pa.array would import pandas: a third of a second when one trajectory is opened.
    bits = pa.py_buffer(np.packbits(np.asarray(mask, dtype=bool), bitorder="little").tobytes())
    passes: Any = pa.Array.from_buffers(pa.bool_(), len(mask), [None, bits])
    return table.filter(passes)
