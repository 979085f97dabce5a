"""The version that is written into every file, and the refusal of a newer one."""

import json
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from rlvr.errors import DamagedFile, NewerFormat
from rlvr.record import Part, Pruned
from rlvr.schema import DERIVED_VERSION, FORMAT_VERSION, PLAIN_FORMAT

_FORMAT_KEY = b"rlvr.format"
_DERIVED_KEY = b"rlvr.derived"
_PRUNED_KEY = b"rlvr.pruned"


def stamp(schema: pa.Schema, version: int = PLAIN_FORMAT) -> pa.Schema:
    """The schema with our versions in its metadata; `version` is that of the format."""
    return schema.with_metadata(
        {_FORMAT_KEY: str(version).encode(), _DERIVED_KEY: str(DERIVED_VERSION).encode()}
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


def check_columns(
    schema: pa.Schema, needed: Iterable[str], types: Mapping[str, pa.DataType], where: str
) -> None:
    """Refuse a file that lacks a column that all of its kind have, or has one of another type.

    Raises:
        DamagedFile: it does.
    """
    names = set(schema.names)
    lacks = [name for name in needed if name not in names]
    other = [
        f"{field.name} as {field.type}"
        for field in schema
        if field.name in types and field.type != types[field.name]
    ]
    if lacks or other:
        said = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"has {', '.join(other)}"] * bool(
            other
        )
        raise DamagedFile(
            f"{where} {' and '.join(said)}: something else than rlvr changed it. Restore it from a"
            " copy; until then it is left out."
        )


def derived_version(metadata: Mapping[bytes, bytes] | None) -> int:
    """Version of the derived columns of a file, by its metadata; the present one if it is silent.

    Tables that are read hold the file's own metadata; one that was just made holds the present.
    """
    version = (metadata or {}).get(_DERIVED_KEY, b"")
    return int(version) if version.isdigit() else DERIVED_VERSION


def mark_pruned(schema: pa.Schema, notes: Sequence[Pruned]) -> pa.Schema:
    """The schema with a note of what was taken out of its file: removal and note are one write."""
    shapes = [
        {"part": note.part.value, "at": note.at, "limit_bytes": note.limit_bytes} for note in notes
    ]
    return schema.with_metadata({**(schema.metadata or {}), _PRUNED_KEY: json.dumps(shapes)})


def pruned_parts(schema: pa.Schema) -> tuple[Pruned, ...]:
    """What was taken out of a file, by its schema.

    Raises:
        DamagedFile: the note is not one of ours.
    """
    metadata: Mapping[bytes, bytes] = schema.metadata or {}
    try:
        return tuple(
            Pruned(part=Part(shape["part"]), at=shape["at"], limit_bytes=shape.get("limit_bytes"))
            for shape in json.loads(metadata.get(_PRUNED_KEY, b"[]"))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"the note of what was pruned does not decode ({error!r}).") from error
