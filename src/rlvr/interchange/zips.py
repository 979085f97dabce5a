"""Members of a zip, read one by one, also where they are compressed by zstd as Inspect does."""

import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from rlvr.interchange.foreign import UnusableRow
from rlvr.interchange.lines import parse

ZSTD = 93
MAX_MEMBER_BYTES = 256 << 20
"""A larger member is counted as damaged: it would be held in memory as a whole."""

TORN = (OSError, zipfile.BadZipFile, struct.error, pa.ArrowException, EOFError, ValueError)
"""What a torn zip, or a torn member, makes its readers raise."""


class ZipMembers:
    """The members of an open zip."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive

    def named(self, beginning: str) -> list[zipfile.ZipInfo]:
        """Members whose name begins so, in order."""
        return [m for m in self._archive.infolist() if m.filename.startswith(beginning)]

    def json(self, member: zipfile.ZipInfo) -> Any:
        """The JSON of a member.

        Raises:
            UnusableRow: it is too large, or torn.
            ValueError: it is no JSON.
        """
        if member.file_size > MAX_MEMBER_BYTES:
            raise UnusableRow(f"{member.filename} is larger than {MAX_MEMBER_BYTES >> 20} MiB")
        payload = self._zstd(member) if member.compress_type == ZSTD else self._plain(member)
        if len(payload) > MAX_MEMBER_BYTES:
            raise UnusableRow(f"{member.filename} is larger than {MAX_MEMBER_BYTES >> 20} MiB")
        return parse(payload)

    def _plain(self, member: zipfile.ZipInfo) -> bytes:
        with self._archive.open(member) as opened:
            return opened.read(MAX_MEMBER_BYTES + 1)

    def _zstd(self, member: zipfile.ZipInfo) -> bytes:
        """The member past its local header: the standard library does not know its compression."""
        with self._path.open("rb") as file:
            file.seek(member.header_offset)
            name, extra = struct.unpack("<HH", file.read(30)[26:])
            file.seek(name + extra, 1)
            packed = io.BytesIO(file.read(member.compress_size))
        with pa.input_stream(packed, compression="zstd") as stream:
            return bytes(stream.read(MAX_MEMBER_BYTES + 1))


@contextmanager
def opened(path: Path) -> Iterator[ZipMembers]:
    """The members of the zip at a path.

    Raises:
        OSError: it can't be read.
        BadZipFile: it is torn, or no zip.
    """
    with zipfile.ZipFile(path) as archive:
        yield ZipMembers(path, archive)


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does; a torn one still does."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False
