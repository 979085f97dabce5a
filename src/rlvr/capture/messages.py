"""OpenAI-style messages to frozen `Message` records."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from rlvr.capture.plain import plain
from rlvr.record import Blob, ContentPart, Message, ToolCall

_KNOWN = {"role", "content", "tool_calls", "tool_call_id", "name", "reasoning_content", "reasoning"}


def freeze_messages(
    messages: str | Iterable[Any], *, role: str, blobs: list[Blob] | None = None
) -> tuple[Message, ...]:
    """Freeze a conversation. Plain text becomes one message of `role`.

    Bytes in image and audio parts (data URLs) go to `blobs` and are named by their sha256.
    """
    if isinstance(messages, str):
        return (Message(role=role, content=messages),)
    return tuple(freeze_message(message, blobs) for message in messages)


def freeze_message(message: Any, blobs: list[Blob] | None = None) -> Message:
    """Freeze one message: a mapping, a pydantic object, or text."""
    if isinstance(message, str):
        return Message(role="user", content=message)
    fields: Any = message if isinstance(message, Mapping) else plain(message)
    if not isinstance(fields, Mapping):
        return Message(role="unknown", content=str(message))
    content = fields.get("content")
    parts: tuple[ContentPart, ...] = ()
    if content is not None and not isinstance(content, str):
        if isinstance(content, Iterable) and not isinstance(content, Mapping):
            parts = tuple(_freeze_part(part, blobs) for part in content)
        else:
            parts = (_freeze_part(content, blobs),)
    reasoning = fields.get("reasoning_content")
    if reasoning is None:
        reasoning = fields.get("reasoning")
    rest = {key: plain(value) for key, value in fields.items() if key not in _KNOWN}
    rest = {key: value for key, value in rest.items() if value is not None}
    return Message(
        role=str(fields.get("role", "unknown")),
        content=content if isinstance(content, str) else None,
        parts=parts,
        reasoning=None if reasoning is None else str(reasoning),
        tool_calls=tuple(freeze_tool_call(call) for call in fields.get("tool_calls") or ()),
        tool_call_id=_text_or_none(fields.get("tool_call_id")),
        name=_text_or_none(fields.get("name")),
        rest=json.dumps(rest) if rest else None,
    )


def freeze_tool_call(call: Any) -> ToolCall:
    """Freeze one call; arguments keep the text that the model wrote."""
    fields = call if isinstance(call, Mapping) else plain(call)
    if not isinstance(fields, Mapping):
        return ToolCall(id=None, name=None, arguments=str(call))
    function = fields.get("function")
    inner = function if isinstance(function, Mapping) else plain(function)
    if not isinstance(inner, Mapping):
        inner = fields
    arguments = inner.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(plain(arguments), ensure_ascii=False)
    return ToolCall(
        id=_text_or_none(fields.get("id")),
        name=_text_or_none(inner.get("name")),
        arguments=arguments,
    )


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def _freeze_part(part: Any, blobs: list[Blob] | None) -> ContentPart:
    if isinstance(part, str):
        return ContentPart(type="text", text=part)
    fields = part if isinstance(part, Mapping) else plain(part)
    if not isinstance(fields, Mapping):
        return ContentPart(type="unknown", text=str(part))
    kind = str(fields.get("type", "unknown"))
    text = fields.get("text")
    blob, beside = _blob_and_rest(fields.get(kind))
    if blob is not None and blobs is not None:
        blobs.append(blob)
    rest = {key: plain(value) for key, value in fields.items() if key not in {"type", "text", kind}}
    rest[kind] = plain(beside) if kind != "text" else None
    rest = {key: value for key, value in rest.items() if value is not None}
    return ContentPart(
        type=kind,
        text=None if text is None else str(text),
        blob=blob.sha256 if blob else None,
        media_type=blob.media_type if blob else None,
        rest=json.dumps(rest) if rest else None,
    )


def _blob_and_rest(value: Any) -> tuple[Blob | None, Any]:
    """The bytes that a part carries, and what stood beside them; (None, value) without bytes.

    Images carry a base64 data URL, by itself or under "url"; audio has base64 under "data" and
    its "format".
    """
    fields = value if isinstance(value, Mapping) else {"url": value}
    key = "data" if "data" in fields else "url"
    text = fields.get(key)
    media_type = f"audio/{fields['format']}" if key == "data" and "format" in fields else None
    if key == "url" and isinstance(text, str):
        header, _, payload = text.partition(",")
        if not (header.startswith("data:") and header.endswith(";base64")):
            return None, value
        media_type = header.removeprefix("data:").removesuffix(";base64") or None
        text = payload
    if not isinstance(text, str):
        return None, value
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None, value
    blob = Blob(sha256=hashlib.sha256(data).hexdigest(), media_type=media_type, data=data)
    return blob, {name: field for name, field in fields.items() if name != key} or None
