"""Rollouts without their secrets."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from rlvr.exporting.format import Exported
from rlvr.record import TokenDetails, TokenEvidence
from rlvr.sinks.redaction import redact

T = TypeVar("T")

_NUMBERS = (int, float, bool, bytes, type(None), TokenEvidence, TokenDetails)


def without_secrets(value: T) -> T:
    """The value with each secret in its texts replaced; the value itself where there is none.

    Reaches into records, mappings and sequences. A text under a key such as `api_key` counts as
    one that follows that name.
    """
    return cast(T, _redacted(value))


def redacted_rollout(exported: Exported) -> Exported:
    """The rollout without secrets. Where it had one, its token ids go too: they spell it."""
    found = without_secrets(exported)
    if found is exported or found.trajectory.tokens is None:
        return found
    return replace(found, trajectory=replace(found.trajectory, tokens=None))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, _NUMBERS):
        return value
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list | tuple):
        inner = [_redacted(element) for element in value]
        same = all(new is old for new, old in zip(inner, value, strict=True))
        return value if same else type(value)(inner)
    if is_dataclass(value) and not isinstance(value, type):
        return _record(value)
    return value


def _record(value: Any) -> Any:
    held = {field.name: getattr(value, field.name) for field in fields(value)}
    new = {name: _redacted(inner) for name, inner in held.items()}
    changed = {name: inner for name, inner in new.items() if inner is not held[name]}
    return replace(value, **changed) if changed else value


def _mapping(value: Mapping[Any, Any]) -> Any:
    pairs = [(_redacted(key), _named(key, inner)) for key, inner in value.items()]
    same = all(
        key is old_key and inner is old
        for (key, inner), (old_key, old) in zip(pairs, value.items(), strict=True)
    )
    return value if same else dict(pairs)


def _named(key: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return _redacted(value)
    name = f"{key}="
    whole = redact(name + value)
    return _kept(value, whole[len(name) :]) if whole.startswith(name) else _text(value)


def _text(value: str) -> str:
    return _kept(value, redact(value))


def _kept(old: str, new: str) -> str:
    return old if new == old else new
