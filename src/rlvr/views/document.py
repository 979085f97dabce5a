"""JSON of what a page shows, for programs.

Every document is an object with `version` (of this form, now 1) and `kind`. Absent values are null.
NaN and the infinities, which JSON does not have, are the strings "NaN", "Infinity", "-Infinity".
Bytes appear as their number. All characters beyond ASCII are escaped, so that a document is inert
on a terminal and also holds text that UTF-8 can't.

A document of what may be long is cut: a text to its beginning and end, a list to its beginning.
Then it also has `left_out`, which names each place that was cut, and is empty where none was.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from rlvr.utils.text import cut_middle

VERSION = 1
TEXT_CHARS = 20_000
"""Characters of a text that a bounded document shows."""
ENTRIES = 200
"""Entries of a list that a bounded document shows."""


def document(kind: str, **values: object) -> str:
    """A document of that kind as JSON text, indented by two."""
    whole = {"version": VERSION, "kind": kind, **values}
    return json.dumps(plain(whole), indent=2, allow_nan=False)


def document_line(kind: str, **values: object) -> str:
    """A document of that kind as JSON text on one line."""
    whole = {"version": VERSION, "kind": kind, **values}
    return json.dumps(plain(whole), allow_nan=False)


def bounded_document(kind: str, **values: object) -> str:
    """The same with long texts and lists cut; `left_out` names each place that was.

    A place is its `path`, the `unit` that is counted there, and how many are `kept` of the `total`.
    """
    left_out: list[dict[str, Any]] = []
    shown = {name: _cut(plain(value), name, left_out) for name, value in values.items()}
    return document(kind, **shown, left_out=left_out)


def _cut(value: Any, path: str, left_out: list[dict[str, Any]]) -> Any:
    if isinstance(value, str) and len(value) > TEXT_CHARS:
        left_out.append(_place(path, "characters", TEXT_CHARS, len(value)))
        return cut_middle(value, TEXT_CHARS)
    if isinstance(value, dict):
        return {key: _cut(inner, f"{path}.{key}", left_out) for key, inner in value.items()}
    if isinstance(value, list):
        if len(value) > ENTRIES:
            left_out.append(_place(path, "entries", ENTRIES, len(value)))
        kept = enumerate(value[:ENTRIES])
        return [_cut(inner, f"{path}[{at}]", left_out) for at, inner in kept]
    return value


def _place(path: str, unit: str, kept: int, total: int) -> dict[str, Any]:
    return {"path": path, "unit": unit, "kept": kept, "total": total}


def plain(value: object) -> Any:
    """The value in JSON's own types: records as objects, sequences as arrays."""
    if isinstance(value, float) and not math.isfinite(value):
        return _name(value)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(entry) for entry in value]
    return len(value) if isinstance(value, bytes) else str(value)


def _name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
