"""Reading messages of any make: OpenAI dicts, pydantic objects, strings, our own record.

Reading never changes its argument and never raises: a value that is no message becomes one of
role "unknown" that shows it.
"""

import json
from collections.abc import Collection, Mapping
from enum import Enum

from rlvr.record import ContentPart, Message, ToolCall, Trajectory
from rlvr.utils.text import as_text

__all__ = ["as_messages", "field_of", "has_fields", "json_object"]

_REASONING = ("reasoning_content", "reasoning", "thinking")
_PART_TEXT = ("text", "thinking", "refusal")


def field_of(value: object, name: str) -> object:
    """`value[name]` of a mapping or `value.name` of an object; None where there is none."""
    try:
        if isinstance(value, Mapping):
            return value.get(name)
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - lazy attributes of foreign objects may raise anything
        return None


def has_fields(value: object, *names: str) -> bool:
    """Whether any of the fields is present and not None."""
    return any(field_of(value, name) is not None for name in names)


def json_object(text: str) -> Mapping[str, object] | None:
    """The JSON object that the text is, or None. Never raises."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def as_messages(value: object, role: str = "user") -> tuple[Message, ...]:
    """The messages of `value`: a list of any make, one message, a Trajectory, a string, None.

    `role` is given to plain strings. An iterator is shown, not read: reading would empty it.
    """
    if value is None:
        return ()
    if isinstance(value, Trajectory):
        return value.messages
    if isinstance(value, str | Mapping | Message) or not isinstance(value, Collection):
        return (_message(value, role),)
    try:
        return tuple(_message(element, role) for element in value)
    except Exception as error:  # noqa: BLE001 - a foreign container may fail while it is read
        return (_unreadable(value, error),)


def _message(value: object, role: str) -> Message:
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return Message(role=role, content=str(value))
    try:
        return _read(value)
    except Exception as error:  # noqa: BLE001 - one odd message must not hide the others
        return _unreadable(value, error)


def _unreadable(value: object, error: Exception) -> Message:
    return Message(role="unreadable", content=f"{type(value).__name__}: {type(error).__name__}")


def _read(value: object) -> Message:
    if not has_fields(value, "role", "content", "tool_calls", "tool_call_id", "function_call"):
        return Message(role="unknown", content=as_text(value))
    content, parts = _content(field_of(value, "content"))
    refusal = field_of(value, "refusal")
    if refusal is not None:
        parts = (*parts, ContentPart(type="refusal", text=as_text(refusal)))
    call_id = field_of(value, "tool_call_id")
    name = field_of(value, "name")
    return Message(
        role=_name(field_of(value, "role") or "unknown"),
        content=content,
        parts=parts,
        reasoning=_reasoning(value),
        tool_calls=_calls(value),
        tool_call_id=None if call_id is None else as_text(call_id),
        name=None if name is None else _name(name),
    )


def _name(value: object) -> str:
    return as_text(value.value if isinstance(value, Enum) else value)


def _content(value: object) -> tuple[str | None, tuple[ContentPart, ...]]:
    if value is None:
        return None, ()
    if isinstance(value, str):
        return str(value), ()
    if isinstance(value, Mapping):
        return None, (_part(value),)
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray):
        return None, tuple(_part(part) for part in value)
    return as_text(value), ()


def _part(value: object) -> ContentPart:
    if isinstance(value, ContentPart):
        return value
    if isinstance(value, str):
        return ContentPart(type="text", text=str(value))
    kind = field_of(value, "type")
    if kind is None and not has_fields(value, *_PART_TEXT):
        return ContentPart(type="part", rest=as_text(value))
    kind = _name(kind or "text")
    for name in _PART_TEXT:
        text = field_of(value, name)
        if text is not None:
            return ContentPart(type=kind, text=as_text(text))
    return ContentPart(type=kind, rest=_payload(value, kind))


def _payload(value: object, kind: str) -> str:
    """What a part carries: an address, the format and size of its data, or all of it as text."""
    inner = field_of(value, kind)
    for name in ("url", "data", "file_data", "filename"):
        found = field_of(inner, name)
        if isinstance(found, str):
            form = field_of(inner, "format")
            return f"{as_text(form)}, {len(found):,} characters" if form is not None else str(found)
    return as_text(value if inner is None else inner)


def _reasoning(value: object) -> str | None:
    for name in _REASONING:
        found = field_of(value, name)
        if found is not None:
            return as_text(found)
    return None


def _calls(value: object) -> tuple[ToolCall, ...]:
    calls = field_of(value, "tool_calls")
    if calls is None:
        legacy = field_of(value, "function_call")
        return () if legacy is None else (_call(legacy),)
    if isinstance(calls, str | Mapping) or not isinstance(calls, Collection):
        return (_call(calls),)
    return tuple(_call(call) for call in calls)


def _call(value: object) -> ToolCall:
    """One call. Libraries that keep calls in a dataset column write each as JSON text."""
    if isinstance(value, ToolCall):
        return value
    written = json_object(value) if isinstance(value, str) else value
    if written is None or not has_fields(written, "function", "name"):
        return ToolCall(id=None, name=None, arguments=as_text(value))
    function = field_of(written, "function")
    if isinstance(function, str):
        function = json_object(function) or {"name": function}
    source = written if function is None else function
    call_id, name = field_of(written, "id"), field_of(source, "name")
    arguments = field_of(source, "arguments")
    return ToolCall(
        id=None if call_id is None else as_text(call_id),
        name=None if name is None else _name(name),
        arguments="" if arguments is None else as_text(arguments),
    )
