"""Records, mappings and sequences without the secrets in their texts."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from rlvr.redaction.redactor import Redactor

T = TypeVar("T")

_NO_TEXT: tuple[type, ...] = (int, float, bool, bytes, type(None))


def without_secrets(
    value: T, redactor: Redactor, place: str = "", *, keep: tuple[type, ...] = ()
) -> T:
    """The value with each secret in its texts replaced; the value itself where there is none.

    Reaches into records, mappings and sequences. A text under a key such as `api_key` counts as
    one that follows that name. `place` names the value in the account; records of the types `keep`
    hold no text and are not looked into.
    """
    return cast(T, _Walk(redactor, keep).redacted(value, place))


class _Walk:
    def __init__(self, redactor: Redactor, keep: tuple[type, ...]) -> None:
        self._redactor = redactor
        self._keep: tuple[type, ...] = (*_NO_TEXT, *keep)

    def redacted(self, value: Any, place: str) -> Any:
        if isinstance(value, str):
            return _kept(value, self._redactor.text(value, place))
        if isinstance(value, self._keep):
            return value
        if isinstance(value, Mapping):
            return self._mapping(value, place)
        if isinstance(value, list | tuple):
            inner = [self.redacted(one, f"{place}[{at}]") for at, one in enumerate(value)]
            same = all(new is old for new, old in zip(inner, value, strict=True))
            return value if same else type(value)(inner)
        if is_dataclass(value) and not isinstance(value, type):
            return self._record(value, place)
        return value

    def _record(self, value: Any, place: str) -> Any:
        held = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        new = {name: self.redacted(one, f"{place}.{name}") for name, one in held.items()}
        changed = {name: inner for name, inner in new.items() if inner is not held[name]}
        return replace(value, **changed) if changed else value

    def _mapping(self, value: Mapping[Any, Any], place: str) -> Any:
        pairs = [
            (self.redacted(key, place), self._named(key, inner, f"{place}.{_short(key)}"))
            for key, inner in value.items()
        ]
        same = all(
            key is old_key and inner is old
            for (key, inner), (old_key, old) in zip(pairs, value.items(), strict=True)
        )
        return value if same else dict(pairs)

    def _named(self, key: Any, value: Any, place: str) -> Any:
        if not isinstance(value, str):
            return self.redacted(value, place)
        name = f'{key}="'
        whole = self._redactor.text(name + value, place)
        if whole.startswith(name):
            return _kept(value, whole[len(name) :])
        return self.redacted(value, place)


def _short(key: Any) -> str:
    return str(key)[:40]


def _kept(old: str, new: str) -> str:
    return old if new == old else new
