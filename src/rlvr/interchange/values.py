"""Foreign values to the record's types: what is absent is None, what is of another type refused."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlvr.capture.messages import freeze_messages
from rlvr.capture.plain import plain
from rlvr.interchange.foreign import UnusableRow
from rlvr.record import Blob, Component, Json, Message, ScoreStatus

_LARGEST = 1 << 53
"""Counts beyond it are no counts: file names and columns hold 64 bits."""


def number(value: Any, name: str) -> float | None:
    """A float, also NaN; None stays None.

    Raises:
        UnusableRow: it is no number.
    """
    if value is None:
        return None
    if not isinstance(value, bool | int | float):
        raise UnusableRow(f"{name} is {_shown(value)}, no number")
    return float(value)


def count(value: Any, name: str) -> int | None:
    """A whole number from 0 on; None stays None.

    Raises:
        UnusableRow: it is none.
    """
    if value is None:
        return None
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise UnusableRow(f"{name} is {_shown(value)}, no whole number from 0 on")
    return int(value)


def text(value: Any) -> str | None:
    """Text as it is, another value as its JSON; None stays None."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(plain(value), ensure_ascii=False)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def insist(value: Any, name: str) -> Mapping[str, Any]:
    """The mapping that the value must be.

    Raises:
        UnusableRow: it is none.
    """
    if not isinstance(value, Mapping):
        raise UnusableRow(f"{name} is {_shown(value)}, no object")
    return value


def sequence(value: Any) -> Sequence[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def at(row: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path, None where there is nothing; a key may have dots itself."""
    if path in row:
        return row[path]
    head, dot, rest = path.partition(".")
    inner = row.get(head)
    return at(inner, rest) if dot and isinstance(inner, Mapping) else None


def info(row: Mapping[str, Any], without: Iterable[str]) -> dict[str, Json]:
    """The fields of a row that nothing else of the record holds, without those that are None."""
    known = frozenset(without)
    return {
        str(key): plain(value)
        for key, value in row.items()
        if key not in known and value is not None
    }


def components(
    values: Mapping[str, Any], weights: Mapping[str, float | None] | None = None
) -> tuple[Component, ...]:
    """One component for each value; one without a value was not applicable.

    Raises:
        UnusableRow: a value is no number.
    """
    weights = weights or {}
    found = []
    for name, value in values.items():
        held = number(value, f"the reward component {name!r}")
        status = ScoreStatus.NOT_APPLICABLE if held is None else ScoreStatus.OK
        component = Component(name=name, value=held, weight=weights.get(name), status=status)
        found.append(component)
    return tuple(found)


def total(components: Sequence[Component]) -> float | None:
    """Values times weights, without what has no value; None where a weight is not known."""
    scored = [(c.value, c.weight) for c in components if c.value is not None]
    known = [value * weight for value, weight in scored if weight is not None]
    return sum(known) if known and len(known) == len(scored) else None


def messages(value: Any, role: str, blobs: list[Blob]) -> tuple[Message, ...]:
    """A conversation of OpenAI's form; text is one message of `role`, None is none.

    Calls that were written as JSON text in a dataset's column are read; those that do not parse
    stay as they are.

    Raises:
        UnusableRow: it is neither text nor a list of messages.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return freeze_messages(value, role=role)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise UnusableRow(f"{role} messages are {_shown(value)}, neither text nor a list")
    for message in value:
        if not isinstance(message, str | Mapping):
            raise UnusableRow(f"a message is {_shown(message)}, no object")
    return freeze_messages([_with_calls(message) for message in value], role=role, blobs=blobs)


def split(conversation: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Prompt and completion: the completion begins with the first assistant message."""
    begins = next(
        (place for place, message in enumerate(conversation) if message.role == "assistant"),
        len(conversation),
    )
    return tuple(conversation[:begins]), tuple(conversation[begins:])


def last_user_text(prompt: Iterable[Message]) -> str | None:
    """The text of the last user message, None without one."""
    asked = [message.text for message in prompt if message.role == "user"]
    return asked[-1] if asked else None


def _with_calls(message: Any) -> Any:
    calls = mapping(message).get("tool_calls")
    if not isinstance(calls, list | tuple) or not any(isinstance(call, str) for call in calls):
        return message
    return {**message, "tool_calls": [_call(call) for call in calls]}


def _call(call: Any) -> Any:
    if not isinstance(call, str):
        return call
    try:
        read = json.loads(call)
    except (ValueError, RecursionError):
        return call
    return read if isinstance(read, dict) else call


def _shown(value: Any) -> str:
    shown = value if isinstance(value, str) else repr(value)
    return f"{type(value).__name__} {shown[:40]!r}"
