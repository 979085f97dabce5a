"""JSON of what a page shows, for programs.

Every document is an object with `version` (of this form, now 1) and `kind`. Absent values are null.
NaN and the infinities, which JSON does not have, are the strings "NaN", "Infinity", "-Infinity".
Bytes appear as their number. All characters beyond ASCII are escaped, so that a document is inert
on a terminal and also holds text that UTF-8 can't.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

VERSION = 1


def document(kind: str, **values: object) -> str:
    """A document of that kind as JSON text, indented by two."""
    whole = {"version": VERSION, "kind": kind, **values}
    return json.dumps(plain(whole), indent=2, allow_nan=False)


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
