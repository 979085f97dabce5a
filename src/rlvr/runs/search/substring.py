"""Find a text as it is written by reading the run itself: no index, any script or punctuation."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.codec import pack
from rlvr.runs.files import Damage
from rlvr.runs.search.find import Filters
from rlvr.runs.search.hits import READ
from rlvr.runs.search.pieces import CONTENT, pieces, storable
from rlvr.runs.search.query import Role
from rlvr.runs.search.segments import Segment, Segments
from rlvr.runs.search.update import IndexProgress

_TAG = "$rlvr:"
_JSON = frozenset(CONTENT) - {"question", "answer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needle:
    """A text to find in the texts of some roles (all of them, if none is named)."""

    text: str
    roles: tuple[Role, ...]
    filters: Filters

    def may_be_in(self, table: pa.Table) -> "npt.NDArray[np.bool_]":
        """True for each row that can match: its columns hold the text as they would write it."""
        mask = np.zeros(table.num_rows, dtype=np.bool_)
        written = json.dumps(self.text, ensure_ascii=False)[1:-1]
        for name in set(CONTENT) & set(table.column_names):
            for pattern in (written if name in _JSON else self.text, _TAG):
                mask |= _holding(table, name, pattern)
        # A call is searched as NAME(ARGUMENTS), which no column holds.
        if "(" in self.text or ")" in self.text:
            mask[:] = True
        if self.filters.ids is not None:
            mask &= self.chosen(table)
        if self.filters.group is not None:
            mask &= np.array(table["group_id"].to_pylist()) == pack(self.filters.group)
        if self.filters.reward is not None:
            low, high = self.filters.reward
            rewards = np.array(table["reward"].to_pylist(), dtype=float)
            mask &= (rewards >= low) & (rewards <= high)
        return mask

    def chosen(self, table: pa.Table) -> "npt.NDArray[np.bool_]":
        """True for each row whose id the filters name, or where they name none."""
        ids = self.filters.ids
        if ids is None:
            return np.ones(table.num_rows, dtype=np.bool_)
        return np.array([id in ids for id in table["id"].to_pylist()], dtype=np.bool_)

    def is_in(self, row: Mapping[str, Any]) -> bool:
        """Whether the row matches.

        Raises:
            UndecodableText: a text of it does not decode.
        """
        texts = list(pieces(row))
        tool = self.filters.tool
        if tool is not None and all(piece.tool != tool for piece in texts):
            return False
        text = storable(self.text)
        return any(
            text in piece.text for piece in texts if not self.roles or piece.role in self.roles
        )


def matching_rows(
    source: Segments,
    chosen: Sequence[Segment],
    needle: Needle,
    damage: Damage,
    on_progress: Callable[[IndexProgress], None],
) -> Iterator[tuple[Segment, Mapping[str, Any]]]:
    """The rows of these segments that match, in their order."""
    total = sum(segment.size_bytes for segment in chosen)
    read = rollouts = 0

    def matching(table: pa.Table) -> Iterator[Mapping[str, Any]]:
        candidates = table.filter(pa.array(needle.may_be_in(table)))
        return filter(needle.is_in, candidates.to_pylist())

    for segment in chosen:
        for piece in source.pieces(segment, READ):
            rollouts += int(needle.chosen(piece.table).sum())
            for row in damage.rows(piece.path, piece.table, matching):
                yield segment, row
        read += segment.size_bytes
        on_progress(IndexProgress(read_bytes=read, total_bytes=total, rollouts=rollouts))


def _holding(table: pa.Table, name: str, pattern: str) -> "npt.NDArray[np.bool_]":
    found: Any = pc.match_substring(table[name], pattern.encode("utf-8", "replace").decode())
    return np.array([holds is True for holds in found.to_pylist()], dtype=np.bool_)
