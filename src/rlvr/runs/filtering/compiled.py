"""From the tree of an expression to SQL over the index, with types checked.

A comparison with what is absent, or with NaN, is neither true nor false: such a row passes neither
it nor its negation. `is null` finds what is absent, `is nan` finds NaN. Arithmetic is in doubles; a
division by zero has no value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rlvr.codec import pack
from rlvr.errors import ConfigurationError
from rlvr.runs.filtering.names import TOOL, Names, Type
from rlvr.runs.filtering.parsed import Node

_NAN = "'nan'::DOUBLE"

_FUNCTIONS: Mapping[str, tuple[str, tuple[Type, ...], Type]] = {
    "abs": ("abs", (Type.NUMBER,), Type.NUMBER),
    "round": ("round", (Type.NUMBER,), Type.NUMBER),
    "floor": ("floor", (Type.NUMBER,), Type.NUMBER),
    "ceil": ("ceil", (Type.NUMBER,), Type.NUMBER),
    "length": ("length", (Type.TEXT,), Type.NUMBER),
    "lower": ("lower", (Type.TEXT,), Type.TEXT),
    "upper": ("upper", (Type.TEXT,), Type.TEXT),
    "contains": ("contains", (Type.TEXT, Type.TEXT), Type.FLAG),
    "starts_with": ("starts_with", (Type.TEXT, Type.TEXT), Type.FLAG),
    "ends_with": ("ends_with", (Type.TEXT, Type.TEXT), Type.FLAG),
}
"""SQL's name, the types of the arguments, and of the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """SQL of a part of an expression, with the values of its question marks, in order."""

    sql: str
    values: tuple[object, ...]
    type: Type
    shown: str
    doc: str = ""
    whole: bool = False

    @property
    def known(self) -> str:
        """SQL of its value, NULL where that is NaN."""
        if self.type is not Type.NUMBER or self.whole:
            return self.sql
        return f"nullif({self.sql}, {_NAN})"


def compile_condition(tree: Node, names: Names) -> Compiled:
    """A condition as SQL.

    Raises:
        ConfigurationError: a name is unknown, types do not fit, or it is no condition.
    """
    found = _compiled(tree, names)
    if found.type is not Type.FLAG:
        raise ConfigurationError(
            f"{found.shown!r} is {_described(found)} and no condition; compare it, as in"
            f" {_example(found)!r}."
        )
    return found


def compile_value(tree: Node, names: Names) -> Compiled:
    """Any expression as SQL.

    Raises:
        ConfigurationError: a name is unknown, or types do not fit.
    """
    return _compiled(tree, names)


def _compiled(node: Node, names: Names) -> Compiled:
    return _HOW[node.what](node, names)


def _literal(node: Node, _: Names) -> Compiled:
    if isinstance(node.value, bool):
        return _made(node, "true" if node.value else "false", (), Type.FLAG)
    if isinstance(node.value, str):
        return _made(node, "?", (pack(node.value),), Type.TEXT)
    try:
        value = float(node.value or 0)
    except OverflowError:
        value = float("inf")
    exact = isinstance(node.value, int) and abs(node.value) < 1 << 53
    # Whole numbers of a modest size stay whole, so that a bound on the step skips blocks.
    return _made(node, "?", (node.value if exact else value,), Type.NUMBER, whole=True)


def _null(_node: Node, _: Names) -> Compiled:
    raise ConfigurationError("nothing equals null; write `is null` or `is not null`.")


def _name(node: Node, names: Names) -> Compiled:
    if node.value == TOOL:
        raise ConfigurationError(
            "tool is compared with names: tool = 'retrieve', tool in ('a', 'b'), tool like 'get%',"
            " or tool is null where no tool was called."
        )
    found = names.resolve(str(node.value))
    made = _made(node, found.sql, (), found.type, whole=found.whole)
    return Compiled(
        sql=made.sql,
        values=(),
        type=made.type,
        shown=made.shown,
        doc=found.doc,
        whole=made.whole,
    )


def _joined(node: Node, names: Names) -> Compiled:
    parts = [compile_condition(part, names) for part in node.parts]
    sql = f" {node.what} ".join(f"({part.sql})" for part in parts)
    return _made(node, f"({sql})", _values(*parts), Type.FLAG)


def _not(node: Node, names: Names) -> Compiled:
    inner = compile_condition(node.parts[0], names)
    return _made(node, f"(NOT ({inner.sql}))", inner.values, Type.FLAG)


def _compare(node: Node, names: Names) -> Compiled:
    if _is_tool(node.parts[0]):
        if node.value not in ("=", "!="):
            raise ConfigurationError("tool is compared by =, !=, in, like or is null.")
        called = _tool(node, f"name = {_text(node.parts[1], names)}")
        return called if node.value == "=" else _turned(called)
    left, right = _alike(node, names)
    return _made(
        node, f"({left.known} {node.value} {right.known})", _values(left, right), Type.FLAG
    )


def _in(node: Node, names: Names) -> Compiled:
    if _is_tool(node.parts[0]):
        marks = ", ".join(_text(part, names) for part in node.parts[1:])
        return _tool(node, f"name IN ({marks})")
    first, *others = _alike(node, names)
    marks = ", ".join(part.known for part in others)
    return _made(node, f"({first.known} IN ({marks}))", _values(first, *others), Type.FLAG)


def _between(node: Node, names: Names) -> Compiled:
    value, low, high = _alike(node, names)
    sql = f"({value.known} BETWEEN {low.known} AND {high.known})"
    return _made(node, sql, _values(value, low, high), Type.FLAG)


def _like(node: Node, names: Names) -> Compiled:
    word = str(node.value).upper()
    if _is_tool(node.parts[0]):
        return _tool(node, f"name {word} {_text(node.parts[1], names)}")
    left, right = (_compiled(part, names) for part in node.parts)
    for part in (left, right):
        _demand(part, Type.TEXT, node)
    return _made(node, f"({left.sql} {word} {right.sql})", _values(left, right), Type.FLAG)


def _is(node: Node, names: Names) -> Compiled:
    if _is_tool(node.parts[0]) and node.value == "null":
        return _turned(_tool(node, "true"))
    inner = _compiled(node.parts[0], names)
    if node.value == "null":
        return _made(node, f"({inner.sql} IS NULL)", inner.values, Type.FLAG)
    if node.value == "nan":
        _demand(inner, Type.NUMBER, node)
        sql = f"(coalesce(isnan(({inner.sql})::DOUBLE), false))"
        return _made(node, sql, inner.values, Type.FLAG)
    _demand(inner, Type.FLAG, node)
    return _made(node, f"(({inner.sql}) IS {str(node.value).upper()})", inner.values, Type.FLAG)


def _arithmetic(node: Node, names: Names) -> Compiled:
    left, right = (_compiled(part, names) for part in node.parts)
    for part in (left, right):
        _demand(part, Type.NUMBER, node)
    below = f"{right.sql}::DOUBLE"
    if node.value in ("/", "%"):
        below = f"nullif({below}, 0)"
    sql = f"({left.sql}::DOUBLE {node.value} {below})"
    return _made(node, sql, _values(left, right), Type.NUMBER)


def _call(node: Node, names: Names) -> Compiled:
    called = str(node.value)
    if called not in _FUNCTIONS:
        raise ConfigurationError(
            f"there is no function {called!r}; there are {', '.join(_FUNCTIONS)}."
        )
    name, wanted, type = _FUNCTIONS[called]
    if len(node.parts) != len(wanted):
        raise ConfigurationError(f"{name} takes {len(wanted)}, not {len(node.parts)} arguments.")
    parts = [_compiled(part, names) for part in node.parts]
    for part, kind in zip(parts, wanted, strict=True):
        _demand(part, kind, node)
    inside = ", ".join(
        f"{part.sql}::DOUBLE" if part.type is Type.NUMBER else part.sql for part in parts
    )
    return _made(node, f"{name}({inside})", _values(*parts), type)


_HOW: Mapping[str, Callable[[Node, Names], Compiled]] = {
    "number": _literal,
    "text": _literal,
    "flag": _literal,
    "null": _null,
    "name": _name,
    "or": _joined,
    "and": _joined,
    "not": _not,
    "compare": _compare,
    "in": _in,
    "between": _between,
    "like": _like,
    "is": _is,
    "arithmetic": _arithmetic,
    "call": _call,
}


def _alike(node: Node, names: Names) -> list[Compiled]:
    """The parts of a comparison, which must have one type."""
    parts = [_compiled(part, names) for part in node.parts]
    described = next((part for part in parts if part.doc), parts[0])
    for part in parts:
        if part.type is not described.type:
            raise ConfigurationError(
                f"{node.shown!r} compares {_described(described)} with {_described(part)}; write"
                f" {_example(described)!r}."
            )
    return parts


def _demand(part: Compiled, type: Type, node: Node) -> None:
    if part.type is not type:
        raise ConfigurationError(
            f"{node.shown!r} needs {type.value}, and {part.shown} is {_described(part)}."
        )


def _described(part: Compiled) -> str:
    return f"{part.shown} ({part.doc}), {part.type.value}," if part.doc else part.type.value


def _example(part: Compiled) -> str:
    value = {Type.NUMBER: "< 0.5", Type.TEXT: "= 'text'", Type.FLAG: "= true"}[part.type]
    return f"{part.shown} {value}"


def _is_tool(node: Node) -> bool:
    return node.what == "name" and node.value == TOOL


def _text(node: Node, names: Names) -> str:
    """The mark of a tool's name."""
    found = _compiled(node, names)
    if node.what != "text":
        raise ConfigurationError(
            f"tool is compared with a text such as 'retrieve', not {found.shown}."
        )
    return "?"


def _tool(node: Node, condition: str) -> Compiled:
    """Whether a call that fits was executed; neither true nor false where the calls were pruned."""
    values = tuple(pack(str(part.value)) for part in node.parts[1:])
    sql = (
        "(CASE WHEN rid NOT IN (SELECT rid FROM held.without_calls) THEN"
        f" rid IN (SELECT rid FROM held.calls WHERE {condition}) END)"
    )
    return _made(node, sql, values, Type.FLAG)


def _turned(found: Compiled) -> Compiled:
    return Compiled(
        sql=f"(NOT {found.sql})", values=found.values, type=Type.FLAG, shown=found.shown
    )


def _made(
    node: Node, sql: str, values: tuple[object, ...], type: Type, *, whole: bool = False
) -> Compiled:
    return Compiled(sql=sql, values=values, type=type, shown=node.shown, whole=whole)


def _values(*parts: Compiled) -> tuple[object, ...]:
    return tuple(value for part in parts for value in part.values)
