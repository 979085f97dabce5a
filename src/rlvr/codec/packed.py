"""Numbers of many tokens as one JSON string: base64 of little-endian values, exact and compact."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from rlvr.errors import UndecodableText


def pack_floats(values: "npt.NDArray[Any]") -> str:
    """Float32 values; 5.4 characters each."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def unpack_floats(text: str) -> tuple[float, ...]:
    """The values that were packed.

    Raises:
        UndecodableText: it is no such text.
    """
    return tuple(_values(text, "<f4"))


def pack_marks(values: "npt.NDArray[Any]") -> str:
    """Values from 0 to 127, such as those of a mask."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="i1").tobytes()).decode("ascii")


def unpack_marks(text: str) -> tuple[int, ...]:
    """The values that were packed.

    Raises:
        UndecodableText: it is no such text.
    """
    return tuple(_values(text, "i1"))


def _values(text: str, kind: str) -> list[Any]:
    try:
        return list(np.frombuffer(base64.b64decode(text, validate=True), dtype=kind).tolist())
    except (ValueError, TypeError) as error:
        raise UndecodableText(
            f"packed numbers do not decode ({error}): {str(text)[:40]!r}. The file was changed by"
            " something else than rlvr; restore it from a copy, or leave it out."
        ) from error
