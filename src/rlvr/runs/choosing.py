"""Which of many runs an expression holds for: the language of `--where`, over values of runs."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rlvr.codec import pack
from rlvr.errors import ConfigurationError
from rlvr.record import Json
from rlvr.runs.filtering import Names, Node, compile_condition, parse
from rlvr.runs.filtering.names import TOOL, Named, Type


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNames(Names):
    """The names of an expression over runs, of which type the values of each are, in order."""

    types: Mapping[str, Type]

    def resolve(self, name: str) -> Named:
        """The column of that name; columns are numbered, as SQL's names know no case."""
        at = list(self.types).index(name)
        return Named(type=self.types[name], sql=f"value_{at}", doc="of a run")


def passing(
    expression: str,
    rows: int,
    values: Callable[[str], Sequence[Json]],
    types: Mapping[str, Type],
) -> list[int]:
    """The places of the rows for which the expression holds, in order.

    Args:
        expression: in the language of `rlvr.runs.filtering`.
        rows: how many there are.
        values: the value of each row by a name; raises ConfigurationError for one that is none.
        types: those of names that have one whatever the values; others follow from the values.

    Raises:
        ConfigurationError: it is no condition, or its names or types do not fit.
    """
    import duckdb

    tree = parse(expression)
    names = tuple(dict.fromkeys(_names(tree)))
    if TOOL in names:
        raise ConfigurationError("tool is a name of rollouts, not of runs; `rlvr tools` has those.")
    columns = {name: values(name) for name in names}
    known = {name: types.get(name) or _type(found) for name, found in columns.items()}
    condition = compile_condition(tree, RunNames(components={}, types=known))
    arrays = {f"value_{at}": _array(columns[name], known[name]) for at, name in enumerate(names)}
    table = pa.table({"place": pa.array(range(rows)), **arrays})
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.register("runs", table)
        sql = f"SELECT place FROM runs WHERE {condition.sql} ORDER BY place"
        return [int(row[0]) for row in connection.execute(sql, condition.values).fetchall()]


def _names(tree: Node) -> Iterator[str]:
    if tree.what == "name":
        yield str(tree.value)
    for part in tree.parts:
        yield from _names(part)


def _type(values: Sequence[Json]) -> Type:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool) for value in known):
        return Type.FLAG
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        return Type.NUMBER
    return Type.TEXT


def _array(values: Sequence[Json], type: Type) -> "pa.Array[Any]":
    if type is Type.TEXT:
        return pa.array([None if v is None else _text(v) for v in values], pa.string())
    if type is Type.NUMBER:
        return pa.array([None if v is None else _double(v) for v in values], pa.float64())
    return pa.array(values, pa.bool_())


def _double(value: Json) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # of a number, as its type says
    except OverflowError:
        return float("inf")


def _text(value: Json) -> str:
    """A text as the compiler packs those of an expression; anything else as its JSON."""
    return pack(value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str))
