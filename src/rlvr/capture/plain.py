"""Foreign objects to plain, owned JSON values."""

from collections.abc import Mapping
from typing import Any

from rlvr.record import Json

_DEEPEST = 64


def plain(value: Any, _depth: int = 0) -> Json:
    """Copy a value into dicts, lists and scalars that nobody else holds.

    Pydantic objects are dumped, numpy scalars unwrapped, and what is neither JSON-like nor one of
    these becomes its `str`. Below depth 64 a value is kept as its `repr`.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if _depth >= _DEEPEST:
        return repr(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, _depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, _depth + 1) for item in value]
    return _plain_object(value, _depth)


def _plain_object(value: Any, depth: int) -> Json:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return plain(dump(mode="python"), depth + 1)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", None) == 1:
        return plain(item(), depth + 1)
    return str(value)
