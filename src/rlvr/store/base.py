"""The seam to where a run's files lie."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """A folder of named files, written whole or not at all.

    Names are relative, with "/" between folders. Both verbs raise StoreError where the store can't
    be written, and StoreFull where free space has fallen to its reserve.
    """

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file so that a reader sees the old one or the new one, whole; durable after."""
        ...

    def create(self, name: str, payload: bytes) -> bool:
        """Claim a name for good and write the file; False where somebody else holds the name."""
        ...


class Shelf(Protocol):
    """A store in a folder whose files can be read, written in a stream, and removed."""

    @property
    def folder(self) -> Path:
        """The folder."""
        ...

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file so that a reader sees the old one or the new one, whole; durable after."""
        ...

    def commit_stream(self, name: str, write: Callable[[Path], None], size: int) -> None:
        """Commit a file that `write` makes at the path that it gets, of about `size` bytes."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        ...
