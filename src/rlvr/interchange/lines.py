"""JSON lines, one at a time, however long the file or a line of it is."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import orjson

from rlvr.interchange.foreign import UNUSABLE, Reading, UnusableRow

MAX_LINE_BYTES = 64 << 20
"""A longer line is counted as damaged: parsing it would take ten times as much memory."""

_LOOKED_AT = 20
_DIGITS = bytes(48 if chr(byte).isdecimal() else 32 for byte in range(128)) + b" " * 128
_HUGE = b"0" * 19
_PIECE = 1 << 20


def json_rows(path: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) for every line that holds a JSON object; blank lines are passed over.

    Lines that are no JSON object, or longer than MAX_LINE_BYTES, are noted as damaged; so is a
    file that can't be opened or read on.
    """
    try:
        with path.open("rb") as file:
            for number, line in _lines(file, reading):
                row = _object(line, path, number, reading)
                if row is not None:
                    yield number, row
    except OSError as error:
        reading.damage(path, None, f"can't be read ({error.strerror or error})")


def first_objects(path: Path) -> list[dict[str, Any]]:
    """The objects among the first lines of a file; empty where it can't be read or has none."""
    found: list[dict[str, Any]] = []
    try:
        with path.open("rb") as file:
            for _ in range(_LOOKED_AT):
                line = file.readline(MAX_LINE_BYTES + 1)
                if not line or len(line) > MAX_LINE_BYTES:
                    break
                try:
                    row = parse(line)
                except UNUSABLE:
                    continue
                if isinstance(row, dict):
                    found.append(row)
    except OSError:
        return []
    return found


def files_of_form(
    files: Sequence[Path], fits: Callable[[dict[str, Any]], bool]
) -> tuple[Path, ...]:
    """The files of which some first object fits, and those that show no object at all.

    The latter are torn, unreadable or empty, and will be counted so. None where none fits.
    """
    shown = {file: first_objects(file) for file in files}
    if not any(fits(row) for rows in shown.values() for row in rows):
        return ()
    return tuple(file for file, rows in shown.items() if not rows or any(map(fits, rows)))


def parse(line: bytes) -> Any:
    """A JSON text, also with NaN, infinities and half characters, as other writers leave them.

    Raises:
        ValueError: it is no JSON, or no UTF-8.
        RecursionError: it is nested too deep.
    """
    # orjson makes floats of integers beyond 64 bits; an expression takes longer to look for them
    if _HUGE not in line.translate(_DIGITS):
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(line)
    return json.loads(line.decode())


def _lines(file: IO[bytes], reading: Reading) -> Iterator[tuple[int, bytes]]:
    """Each line with its number; b"" stands for one that is too long."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        size = len(line)
        if size > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = b""
            while piece := file.readline(_PIECE):
                size += len(piece)
                if piece.endswith(b"\n"):
                    break
            yield number, line
        elif not line.isspace():
            yield number, line
        reading.advance(size)


def _object(line: bytes, path: Path, number: int, reading: Reading) -> dict[str, Any] | None:
    try:
        if not line:
            raise UnusableRow(f"longer than {MAX_LINE_BYTES >> 20} MiB")
        row = parse(line)
        if not isinstance(row, dict):
            raise UnusableRow(f"no JSON object but {type(row).__name__}")
    except UNUSABLE as error:
        torn = "" if line.endswith(b"\n") or not line else ", and the line has no end: torn?"
        reading.damage(path, number, f"{_reason(error)}{torn}")
        return None
    return row


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"no valid UTF-8 ({error.reason} at byte {error.start})"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return f"no JSON ({error})" if isinstance(error, json.JSONDecodeError) else str(error)
