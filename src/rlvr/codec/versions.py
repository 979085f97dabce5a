"""The version that is written into every file, and the refusal of a newer one."""

from collections.abc import Mapping

import pyarrow as pa

from rlvr.errors import DamagedFile, NewerFormat
from rlvr.schema import DERIVED_VERSION, FORMAT_VERSION

_FORMAT_KEY = b"rlvr.format"
_DERIVED_KEY = b"rlvr.derived"


def stamp(schema: pa.Schema) -> pa.Schema:
    """The schema with our versions in its metadata."""
    return schema.with_metadata(
        {_FORMAT_KEY: str(FORMAT_VERSION).encode(), _DERIVED_KEY: str(DERIVED_VERSION).encode()}
    )


def check_format(schema: pa.Schema, where: str) -> None:
    """Refuse what a newer rlvr wrote, and what no rlvr wrote.

    Raises:
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: it carries no version of ours.
    """
    metadata: Mapping[bytes, bytes] = schema.metadata or {}
    version = metadata.get(_FORMAT_KEY, b"")
    if not version.isdigit():
        raise DamagedFile(f"{where} was not written by rlvr; move it out of the run's folder.")
    check_version(int(version), where)


def check_version(version: int, where: str) -> None:
    """Refuse a format version above ours.

    Raises:
        NewerFormat: the version is newer.
    """
    if version > FORMAT_VERSION:
        raise NewerFormat(
            f"{where} has format {version}, and this rlvr reads up to {FORMAT_VERSION}. "
            "Upgrade it: pip install --upgrade rlvr"
        )
