"""The tool calls of many rollouts, flat: one entry a call.

Read a portion of the rollouts at a time: of each call there stay a few numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.codec import load
from rlvr.errors import UndecodableText

CALL_COLUMNS = ("derived_num_tool_calls", "tool_results")
"""The columns of a portion; with `completion` where `needs_messages` says so."""

NO_NAME, NOT_OFFERED, OTHERS = "(no name)", "(not offered)", "(others)"
"""Stand for the tool of a call that names none, for all names of tools that the run does not offer,
and for the least called of very many."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """One entry a call, in the order of the rollouts and of the calls in each. Shape (calls,) each.

    `row` is the rollout, `tool` a place in `names`, `turn` the assistant turn from 0. `raised`: the
    tool raised; `malformed`: the call did not parse, named no tool, or one that is not there, and
    reached none; `answered`: it has a result or an error on record. `seconds` is NaN where it was
    not timed. `known` has one entry a rollout: whether its calls could be read.
    """

    names: tuple[str, ...]
    row: Ints
    tool: Ints
    turn: Ints
    raised: Mask
    malformed: Mask
    answered: Mask
    seconds: Floats
    known: Mask

    def __len__(self) -> int:
        return len(self.row)

    @property
    def rollouts(self) -> int:
        """How many rollouts were asked for, read or not."""
        return len(self.known)

    @cached_property
    def per_rollout(self) -> Ints:
        """Calls of each rollout. Shape (rollouts,)."""
        return np.bincount(self.row, minlength=self.rollouts)

    def of(self, tool: int) -> Ints:
        """Calls of that tool in each rollout. Shape (rollouts,)."""
        return np.bincount(self.row[self.tool == tool], minlength=self.rollouts)

    def folded(self, offered: Sequence[str], most: int) -> "Calls":
        """With the names that are not offered as one, NOT_OFFERED, where any are offered; and of
        more than `most` names the least called as one, OTHERS."""
        counts = np.bincount(self.tool, minlength=len(self.names))
        shown = [
            NOT_OFFERED if offered and name not in offered and name != NO_NAME else name
            for name in self.names
        ]
        kept = {shown[place] for place in np.argsort(-counts, kind="stable")[:most].tolist()}
        shown = [name if name in kept or name in offered else OTHERS for name in shown]
        names = tuple(dict.fromkeys(shown))
        places = np.array([names.index(name) for name in shown], dtype=np.int64)
        return replace(self, names=names, tool=places[self.tool])


def needs_messages(portion: pa.Table) -> bool:
    """Whether some rollout of the portion called tools without a result on record."""
    zero: Any = 0
    called: Any = pc.greater(portion["derived_num_tool_calls"], zero)
    none: Any = "[]"
    unanswered: Any = pc.equal(portion["tool_results"], none)
    return bool(pc.any(pc.and_(called, unanswered)).as_py())


def read_calls(portions: Iterable[pa.Table]) -> Calls:
    """The calls of all portions, each a table with CALL_COLUMNS in the order of the rollouts."""
    places: dict[str, int] = {}
    known: list[bool] = []
    parts = [_columns(())]
    for portion in portions:
        parts.append(_columns(_entries(portion, places, known)))
    row, tool, turn, raised, malformed, answered, seconds = map(
        np.concatenate, zip(*parts, strict=True)
    )
    return Calls(
        names=tuple(places),
        row=row,
        tool=tool,
        turn=turn,
        raised=raised,
        malformed=malformed,
        answered=answered,
        seconds=seconds,
        known=np.asarray(known, dtype=np.bool_),
    )


_Entry = tuple[int, int, int, bool, bool, bool, float]
_TYPES = (np.int64, np.int64, np.int64, np.bool_, np.bool_, np.bool_, np.float64)


def _entries(portion: pa.Table, places: dict[str, int], known: list[bool]) -> Iterator[_Entry]:
    """Row, tool, turn, raised, malformed, answered, seconds of each call; numbers new names in
    `places`, and appends for each rollout to `known` whether its calls can be read."""
    messages = portion["completion"] if "completion" in portion.column_names else None
    for at, text in enumerate(portion["tool_results"].to_pylist()):
        calls = _calls(text, None if messages is None else messages[at].as_py())
        row = len(known)
        known.append(calls is not None)
        for call in calls or ():
            yield (row, places.setdefault(call[0], len(places)), *call[1:])


def _columns(entries: Iterable[_Entry]) -> list[Any]:
    columns = list(zip(*entries, strict=True)) or [()] * len(_TYPES)
    return [np.asarray(column, type) for column, type in zip(columns, _TYPES, strict=True)]


_Call = tuple[str, int, bool, bool, bool, float]


def _calls(results: str | None, completion: str | None) -> list[_Call] | None:
    """Of each call name, turn, raised, malformed, answered, seconds; None where it can't be read.

    The calls of a rollout without results are those of its messages, if these were read.
    """
    try:
        if results is None:
            return None
        found = [_of_result(shape) for shape in load(results)]
        if found or completion is None:
            return found
        return list(_of_messages(load(completion)))
    except (UndecodableText, TypeError, AttributeError, ValueError):
        return None


def _of_result(shape: Mapping[str, Any]) -> _Call:
    malformed = bool(shape.get("malformed"))
    seconds = shape.get("duration_s")
    return (
        _name(shape.get("name")),
        int(shape.get("turn") or 0),
        shape.get("error") is not None and not malformed,
        malformed,
        True,
        float(seconds) if isinstance(seconds, int | float) else np.nan,
    )


def _of_messages(messages: Iterable[Mapping[str, Any]]) -> Iterator[_Call]:
    turn = -1
    for message in messages:
        turn += message.get("role") == "assistant"
        for call in message.get("tool_calls") or ():
            yield (_name(call.get("name")), max(turn, 0), False, False, False, np.nan)


def _name(name: object) -> str:
    return name if isinstance(name, str) and name else NO_NAME
