"""Which files lie at a path, in an order that people expect."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_DIGITS = re.compile(r"(\d+)")
_DEPTH = 6


def files_at(path: Path, *suffixes: str) -> tuple[Path, ...]:
    """The path where it is a file, by any name, else those right in the folder that end so."""
    if path.is_file():
        return (path,)
    return tuple(sorted(_entries(path, suffixes), key=natural))


def files_below(path: Path, *suffixes: str) -> tuple[Path, ...]:
    """The path where it is a file, by any name, else those below the folder that end so.

    Links to folders are not followed, and hidden folders are passed over.
    """
    if path.is_file():
        return (path,)
    found: list[Path] = []
    for root, folders, names in os.walk(path):
        deep = len(Path(root).relative_to(path).parts) >= _DEPTH
        folders[:] = [] if deep else [name for name in folders if not name.startswith(".")]
        found += [
            Path(root) / name
            for name in names
            if name.endswith(suffixes) and not name.startswith(".")
        ]
    return tuple(sorted(found, key=natural))


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts step_9 before step_10."""
    return tuple(
        (1, int(part), "") if part.isdecimal() and len(part) < 19 else (0, 0, part)
        for part in _DIGITS.split(str(path))
    )


def size_of(files: tuple[Path, ...]) -> int:
    """Bytes of the files; what can't be looked at counts nothing."""
    return sum(map(_size, files))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _entries(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.endswith(suffixes) and not entry.name.startswith("."):
                    yield Path(entry.path)
    except OSError:
        return
