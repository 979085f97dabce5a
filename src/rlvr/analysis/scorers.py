"""Why scorers gave no value."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from rlvr.analysis.columns import Columns
from rlvr.codec import load, unpack
from rlvr.errors import UndecodableText
from rlvr.record import ScoreStatus

SCORER_COLUMNS = ("rewards", "components")
"""The columns that `scorer_statuses` asks for."""

UNREADABLE = "unreadable"
"""Stands for the status where a file was changed by something else than rlvr."""


def scorer_statuses(table: pa.Table) -> dict[str, dict[str, int]]:
    """How often each component got no value, by the status of its scorer.

    Only rows with such a component are decoded. A table has SCORER_COLUMNS.
    """
    columns = Columns(table=table)
    missing = np.zeros(len(columns), np.bool_)
    for name in columns.component_names:
        missing |= columns.unscored(name)
    found: dict[str, Counter[str]] = {}
    for row in table.filter(pa.array(missing)).to_pylist():
        scores = row["rewards"] or []
        states = _statuses(row["components"], len(scores))
        for (name, value), status in zip(scores, states, strict=True):
            if value is None:
                found.setdefault(unpack(name), Counter())[status] += 1
    return {name: dict(counts.most_common()) for name, counts in found.items()}


def _statuses(text: str | None, count: int) -> list[str]:
    """The status of each component, in order."""
    try:
        shapes = load(text or "")
    except UndecodableText:
        return [UNREADABLE] * count
    if not isinstance(shapes, list) or len(shapes) != count:
        return [UNREADABLE] * count
    return [
        str(shape.get("status", ScoreStatus.OK)) if isinstance(shape, Mapping) else UNREADABLE
        for shape in shapes
    ]
