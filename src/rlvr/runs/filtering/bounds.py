"""What an expression demands of a file's name, so that no other file is opened for it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rlvr.runs.filtering.names import SHORT
from rlvr.runs.filtering.parsed import Node
from rlvr.store import BatchName

_FIELDS = ("mode", "step", "batch", "attempt", "rank")
_SWAPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Demands that all must hold: (field of the name, sign, values of which one must fit)."""

    demands: tuple[tuple[str, str, tuple[float | str, ...]], ...]

    def allow(self, name: BatchName) -> bool:
        """Whether a file of that name can hold a row that passes."""
        return all(
            any(_fits(getattr(name, field), sign, value) for value in values)
            for field, sign, values in self.demands
        )


NO_BOUNDS = Bounds(demands=())


def bounds_of(tree: Node | None) -> Bounds:
    """The demands of a condition; none where it makes none that is certain."""
    return NO_BOUNDS if tree is None else Bounds(demands=tuple(_demands(tree)))


def _fits(held: int | str, sign: str, value: float | str) -> bool:
    if isinstance(held, str) or isinstance(value, str):
        return str(held) == value if sign == "=" else True
    return _HOLDS[sign](held, value)


def _demands(tree: Node) -> Iterator[tuple[str, str, tuple[float | str, ...]]]:
    if tree.what == "and":
        for part in tree.parts:
            yield from _demands(part)
        return
    field = _field(tree.parts[0]) if tree.parts else None
    others = [_constant(part) for part in tree.parts[1:]]
    values = tuple(value for value in others if value is not None)
    if tree.what == "compare":
        yield from _compared(tree, field, values)
    elif field is None or len(values) < len(others):
        return
    elif tree.what == "in":
        yield field, "=", values
    elif tree.what == "between":
        yield field, ">=", values[:1]
        yield field, "<=", values[1:]


def _compared(
    tree: Node, field: str | None, values: tuple[float | str, ...]
) -> Iterator[tuple[str, str, tuple[float | str, ...]]]:
    sign = str(tree.value)
    if sign not in _SWAPPED:
        return
    if field is not None and values:
        yield field, sign, values
        return
    field, value = _field(tree.parts[1]), _constant(tree.parts[0])
    if field is not None and value is not None:
        yield field, _SWAPPED[sign], (value,)


def _field(node: Node) -> str | None:
    name = SHORT.get(str(node.value), str(node.value)) if node.what == "name" else ""
    return name if name in _FIELDS else None


def _constant(node: Node) -> float | str | None:
    if node.what in ("number", "text") and isinstance(node.value, int | float | str):
        return node.value
    return None
