"""Any value as JSON text that every JSON reader accepts, and back, exactly.

What JSON can't hold stands as an object with one tagged key:

    {"$rlvr:float": "nan" | "inf" | "-inf"}
    {"$rlvr:int": "0x400000000000000000"}      integers beyond 64 bits
    {"$rlvr:str": "a\\\\ud800"}                  text with lone surrogates, as unicode_escape
    {"$rlvr:items": [[key, value], ...]}       mappings with such keys, or with keys like these tags
    {"$rlvr:deep": "[[..."}                    nested deeper than MAX_DEPTH: its JSON as text
    {"$rlvr:repr": "<object>"}                 not a JSON value: what `repr` says of it

The first four decode to what they were; the last two stay as they are, as the status of a value
that could not be kept as such. Sequences come back as lists.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from rlvr.errors import UndecodableText

MAX_DEPTH = 200
MAX_DEEP_CHARS = 1 << 20

_TAG = "$rlvr:"
_TAGGED_TEXT = "$rlvr:str:"
_INT64 = range(-(2**63), 2**63)
_LEAVES = frozenset({str, int, float, bool, type(None)})
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dump(value: object) -> str:
    """JSON text of any value. Walks it in Python, so use `dump_plain` for our own shapes."""
    return _dumps(_tagged(value, MAX_DEPTH))


def dump_plain(value: object) -> str:
    """JSON text of a value known to be shallow; five times as fast where it needs no tags."""
    try:
        text = _dumps(value)
    except (TypeError, ValueError):
        return dump(value)
    return dump(value) if has_tags(text) or not is_unicode(text) else text


def dump_leaves(value: object, leaves: Sequence[object]) -> bytes:
    """What `dump_plain` says, as UTF-8, in a fifth of the time where all `leaves` are plain.

    They must be all that the value holds but the keys of its mappings, which are texts of ours.
    """
    # orjson writes NaN as null, and dates, UUIDs and enums as it likes; those go the long way.
    kinds = set(map(type, leaves))
    if kinds <= _LEAVES and not (float in kinds and _any_infinite(leaves)):
        try:
            text = orjson.dumps(value)
        except TypeError:  # lone surrogates, integers beyond 64 bits
            return dump_plain(value).encode()
        if not (b"$" in text and _TAG.encode() in text):
            return text
    return dump_plain(value).encode()


def _any_infinite(leaves: Iterable[object]) -> bool:
    return not all(map(math.isfinite, (leaf for leaf in leaves if type(leaf) is float)))


def has_tags(text: str) -> bool:
    """Whether one of our tags may stand in a JSON text. Looking for one character is quicker."""
    return "$" in text and _TAG in text


def load(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        UndecodableText: it is no JSON, or a tag holds what it should not.
    """
    try:
        if not has_tags(text):
            return json.loads(text)
        return json.loads(text, object_hook=_untagged)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        head = text[:80] + ("..." if len(text) > 80 else "")
        raise UndecodableText(
            f"stored text does not decode ({error}): {head!r}. The file was changed by something "
            "else than rlvr; restore it from a copy, or leave it out."
        ) from error


def pack(text: str) -> str:
    """Text as a column can hold it: itself, or escaped where it is no valid Unicode."""
    if is_unicode(text) and not text.startswith(_TAG):
        return text
    return _TAGGED_TEXT + _escaped(text)


def are_packed(texts: Iterable[str]) -> bool:
    """Whether `pack` would leave every one of the texts as it is."""
    joined = "".join(texts)
    return not has_tags(joined) and is_unicode(joined)


def unpack(text: str) -> str:
    """The text that was packed."""
    return _unescaped(text[len(_TAGGED_TEXT) :]) if text.startswith(_TAGGED_TEXT) else text


def is_unicode(text: str) -> bool:
    """Whether the text has a UTF-8 form, which lone surrogates don't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _dumps(value: object) -> str:
    return _ENCODER.encode(value)


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _unescaped(text: str) -> str:
    return text.encode("ascii").decode("unicode_escape")


def _tagged(value: object, depth: int) -> object:
    if value is None or isinstance(value, (str, bool, int, float)):
        return _tagged_scalar(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return _tagged(value.tolist(), depth)
    if not isinstance(value, (Mapping, Sequence)) or isinstance(value, (bytes, bytearray)):
        return {f"{_TAG}repr": _tagged_scalar(_repr(value))}
    if depth == 0:
        return {f"{_TAG}deep": _deep_text(value)}
    if isinstance(value, Mapping):
        return _tagged_mapping(value, depth)
    return [_tagged(element, depth - 1) for element in value]


def _tagged_mapping(value: Mapping[Any, object], depth: int) -> object:
    pairs = [(str(key), _tagged(element, depth - 1)) for key, element in value.items()]
    if all(is_unicode(key) and not key.startswith(_TAG) for key, _ in pairs):
        return dict(pairs)
    return {f"{_TAG}items": [[_tagged_scalar(key), element] for key, element in pairs]}


def _tagged_scalar(value: str | float | None) -> object:
    if isinstance(value, str):
        return value if is_unicode(value) else {f"{_TAG}str": _escaped(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {f"{_TAG}float": str(float(value))}
    if isinstance(value, int) and value not in _INT64:
        return {f"{_TAG}int": hex(value)}
    return value


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  a stranger's __repr__ may raise anything
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


class _Written(str):
    """A piece of text that is already JSON."""

    __slots__ = ()


def _deep_text(value: object) -> str:
    """JSON of a value of any depth, without recursion; cut where a cycle makes it endless."""
    pieces: list[str] = []
    length = 0
    stack: list[object] = [value]
    while stack and length < MAX_DEEP_CHARS:
        node = stack.pop()
        if isinstance(node, Mapping):
            stack.extend(reversed(list(_mapping_pieces(node))))
        elif isinstance(node, (list, tuple)):
            stack.extend(reversed(list(_sequence_pieces(node))))
        else:
            piece = node if isinstance(node, _Written) else _dumps(_tagged(node, 1))
            pieces.append(piece)
            length += len(piece)
    return "".join(pieces) + (" ... (cut)" if stack else "")


def _mapping_pieces(value: Mapping[Any, object]) -> Iterator[object]:
    yield _Written("{")
    for place, (key, element) in enumerate(value.items()):
        yield _Written(("," if place else "") + json.dumps(str(key)) + ":")
        yield element
    yield _Written("}")


def _sequence_pieces(value: Sequence[object]) -> Iterator[object]:
    yield _Written("[")
    for place, element in enumerate(value):
        if place:
            yield _Written(",")
        yield element
    yield _Written("]")


def _untagged(value: dict[str, Any]) -> Any:
    if len(value) != 1:
        return value
    ((key, held),) = value.items()
    if key == f"{_TAG}float":
        return float(held)
    if key == f"{_TAG}int":
        return int(held, 16)
    if key == f"{_TAG}str":
        return _unescaped(held)
    if key == f"{_TAG}items":
        return dict(held)
    return value
