"""The small JSON files of a run: its RunInfo and its attempts."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import orjson

from rlvr.codec.shapes import build
from rlvr.codec.text import dump, load
from rlvr.codec.versions import check_version
from rlvr.errors import DamagedFile, UndecodableText
from rlvr.record import Attempt, RunInfo
from rlvr.schema import COMPACTED_FORMAT, PLAIN_FORMAT

_T = TypeVar("_T")


def encode_document(values: Mapping[str, Any], version: int = PLAIN_FORMAT) -> bytes:
    """A JSON document, indented for people, with the format version in it."""
    tagged = json.loads(dump({**values, "format_version": version}))
    try:
        return orjson.dumps(tagged, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # nested deeper than it likes
        return json.dumps(tagged, ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"


def decode_document(payload: bytes, where: str) -> dict[str, Any]:
    """The values of a JSON document.

    Raises:
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: it is torn or not ours.
    """
    try:
        values = load(payload.decode())
    except (UnicodeDecodeError, UndecodableText) as error:
        raise DamagedFile(f"{where} is torn or was changed ({error}).") from error
    version = values.pop("format_version", None) if isinstance(values, dict) else None
    if not isinstance(version, int):
        raise DamagedFile(f"{where} was not written by rlvr; move it out of the run's folder.")
    check_version(version, where)
    return dict(values)


def encode_run(info: RunInfo) -> bytes:
    """run.json."""
    return encode_document(document_fields(info))


def decode_run(payload: bytes, where: str = "run.json") -> RunInfo:
    """The RunInfo of run.json.

    Raises:
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: it is torn or not ours.
    """
    values = decode_document(payload, where)
    values["tools"] = tuple(values.get("tools", ()))
    values["inferred"] = tuple(values.get("inferred", ()))
    return _built(RunInfo, values, where)


def said_compacted(payload: bytes, where: str = "run.json") -> bytes:
    """run.json as it is from the first compaction on.

    Raises:
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: it is torn or not ours.
    """
    return encode_document(decode_document(payload, where), COMPACTED_FORMAT)


def encode_attempt(attempt: Attempt) -> bytes:
    """attempts/aNN.json."""
    return encode_document(document_fields(attempt))


def decode_attempt(payload: bytes, where: str = "the attempt") -> Attempt:
    """The Attempt of attempts/aNN.json.

    Raises:
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: it is torn or not ours.
    """
    return _built(Attempt, decode_document(payload, where), where)


def encode_vocabulary(texts: Sequence[str]) -> bytes:
    """vocabulary.json: the text of each token id, from 0 on."""
    return encode_document({"texts": list(texts)})


def decode_vocabulary(payload: bytes, where: str = "vocabulary.json") -> tuple[str, ...]:
    """The text of each token id, from 0 on.

    Raises:
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: it is torn or not ours.
    """
    return tuple(decode_document(payload, where)["texts"])


def document_fields(value: RunInfo | Attempt) -> dict[str, Any]:
    """All fields of a run or an attempt."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _built(kind: Callable[..., _T], values: Mapping[str, Any], where: str) -> _T:
    try:
        return build(kind, values)
    except UndecodableText as error:
        raise DamagedFile(f"{where} is not what rlvr wrote: {error}") from error
