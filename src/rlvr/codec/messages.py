"""Messages as JSON: what `dump_plain` makes of them as dicts, in a fifth of the time.

Nearly all that a run writes is the text of messages, on a thread that takes the GIL from training.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from rlvr.codec.shapes import as_dict, call_shape
from rlvr.codec.text import dump_leaves
from rlvr.record import Message

_held = attrgetter(
    "role", "content", "reasoning", "parts", "tool_calls", "tool_call_id", "name", "rest"
)


def messages_json(messages: Sequence[Message]) -> bytes:
    """JSON of the messages, in order."""
    leaves: list[object] = []
    return dump_leaves([_shape(message, leaves) for message in messages], leaves)


def _shape(message: Message, leaves: list[object]) -> dict[str, Any]:
    """A message as a dict, without the fields that are at their default; adds its leaves."""
    role, content, reasoning, parts, calls, call_id, name, rest = _held(message)
    shape: dict[str, Any] = {"role": role}
    if content is not None:
        shape["content"] = content
    if reasoning is not None:
        shape["reasoning"] = reasoning
    if call_id is not None:
        shape["tool_call_id"] = call_id
    if name is not None:
        shape["name"] = name
    if rest is not None:
        shape["rest"] = rest
    leaves += shape.values()
    if parts:
        shape["parts"] = _noted([as_dict(part) for part in parts], leaves)
    if calls:
        shape["tool_calls"] = _noted([call_shape(call) for call in calls], leaves)
    return shape


def _noted(shapes: list[dict[str, Any]], leaves: list[object]) -> list[dict[str, Any]]:
    for shape in shapes:
        leaves += shape.values()
    return shapes
