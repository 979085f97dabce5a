"""Rows of a table by a mask."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from rlvr.runs.buffers import flags


def masked(table: pa.Table, mask: Sequence[bool]) -> pa.Table:
    """The rows for which the mask is true."""
    return table.filter(flags(np.asarray(mask, dtype=bool)))
