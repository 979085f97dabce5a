"""What the names of an expression mean: columns, their short names, components, tools."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from rlvr.errors import ConfigurationError
from rlvr.runs.filtering.parsed import Node
from rlvr.schema import COLUMNS, Column, Kind

TOOL = "tool"
REWARDS = "rewards"
SUPERSEDED = "superseded"


class Type(StrEnum):
    """What kind of value a name or a part of an expression has."""

    NUMBER = "a number"
    TEXT = "a text"
    FLAG = "true or false"


_TYPES: Mapping[pa.DataType, Type] = {
    pa.int64(): Type.NUMBER,
    pa.float64(): Type.NUMBER,
    pa.string(): Type.TEXT,
    pa.bool_(): Type.FLAG,
}

_COLUMNS: Mapping[str, Column] = {
    column.name: column
    for column in COLUMNS
    if column.kind in (Kind.SCALAR, Kind.DERIVED) and column.type in _TYPES
}

SHORT: Mapping[str, str] = {
    "turns": "derived_num_turns",
    "calls": "derived_num_tool_calls",
    "responses": "derived_num_tool_responses",
    "errors": "derived_num_tool_errors",
    "malformed": "derived_num_malformed_calls",
    "group": "group_id",
    "example": "example_id",
    **{name.removeprefix("derived_"): name for name in _COLUMNS if name.startswith("derived_")},
}
"""Short names of columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A name's type, its SQL, and what it stands for."""

    type: Type
    sql: str
    doc: str
    whole: bool = False
    """Whether it is never NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one run: `components` are the columns of the index that hold its rewards."""

    components: Mapping[str, str]
    superseded: str = "false"

    def resolve(self, name: str) -> Named:
        """What a name stands for.

        Raises:
            ConfigurationError: nothing is named so; the message names what is alike.
        """
        prefix, _, inner = name.partition(".")
        if prefix == REWARDS and inner in self.components:
            return self._component(inner)
        column = _COLUMNS.get(SHORT.get(name, name))
        if column is not None:
            return Named(
                type=_TYPES[column.type],
                sql=quoted(column.name),
                doc=column.doc,
                whole=column.type != pa.float64(),
            )
        if name in self.components:
            return self._component(name)
        if name == SUPERSEDED:
            return Named(type=Type.FLAG, sql=f"({self.superseded})", doc="a newer attempt redid it")
        raise ConfigurationError(self._unknown(name))

    def _component(self, name: str) -> Named:
        return Named(
            type=Type.NUMBER, sql=quoted(self.components[name]), doc="value of a reward component"
        )

    def _unknown(self, name: str) -> str:
        declared = {column.name: column for column in COLUMNS}
        if name == REWARDS:
            some = ", ".join(f"{REWARDS}.{one}" for one in list(self.components)[:4])
            return f"{REWARDS} holds several values; name one of them: {some or 'there are none'}."
        if name in declared:
            return f"{name} ({declared[name].doc}) can't be compared; `rlvr show RUN ID` shows it."
        known = [*self.components, *SHORT, *_COLUMNS, TOOL]
        if "." in name:
            known = [f"{REWARDS}.{one}" for one in self.components]
        close = difflib.get_close_matches(name, known, 3, 0.5)
        hint = f"Did you mean {' or '.join(close)}?" if close else _some(self.components)
        return f"nothing is named {name!r}. {hint} A text stands in single quotes."


def _some(components: Sequence[str] | Mapping[str, str]) -> str:
    parts = f" Its components are {', '.join(list(components)[:8])}." if components else ""
    return f"Names are reward, step, mode, turns, calls, errors, tool, group, example, ...{parts}"


def quoted(name: str) -> str:
    """A name as SQL takes any name."""
    return '"' + name.replace('"', '""') + '"'


def columns_of(tree: Node) -> set[str]:
    """The columns that must be read to answer it, `rewards` among them for what may be one of its
    components; TOOL where it asks for tools."""
    found = set()
    for name in _names(tree):
        column = SHORT.get(name, name)
        if name == TOOL or column in _COLUMNS:
            found.add(column)
        elif name == SUPERSEDED:
            found |= {"attempt", "step"}
        else:
            found.add(REWARDS)
    return found


def _names(tree: Node) -> Iterator[str]:
    if tree.what == "name":
        yield str(tree.value)
    for part in tree.parts:
        yield from _names(part)
