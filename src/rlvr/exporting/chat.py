"""Messages in the form that other tools read: OpenAI's, as dicts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from rlvr.record import Component, Message, ToolCall, Trajectory

MESSAGE: pa.DataType = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("reasoning_content", pa.string()),
        (
            "tool_calls",
            pa.list_(
                pa.struct(
                    [
                        ("id", pa.string()),
                        ("type", pa.string()),
                        (
                            "function",
                            pa.struct([("name", pa.string()), ("arguments", pa.string())]),
                        ),
                    ]
                )
            ),
        ),
        ("tool_call_id", pa.string()),
        ("name", pa.string()),
    ]
)
"""A message in a Parquet file; arguments stay the text that the model wrote."""


def chat_message(message: Message) -> dict[str, Any]:
    """The message as OpenAI's API has it, its parts joined to text; what it lacks is left out."""
    shown: dict[str, Any] = {"role": clean(message.role), "content": message_text(message)}
    if message.reasoning is not None:
        shown["reasoning_content"] = clean(message.reasoning)
    if message.tool_calls:
        shown["tool_calls"] = [chat_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        shown["tool_call_id"] = clean(message.tool_call_id)
    if message.name is not None:
        shown["name"] = clean(message.name)
    return shown


def chat_call(call: ToolCall) -> dict[str, Any]:
    """A tool call as OpenAI's API has it, its arguments as written."""
    return {
        "id": clean(call.id or ""),
        "type": "function",
        "function": {"name": clean(call.name or ""), "arguments": clean(call.arguments)},
    }


def message_text(message: Message) -> str | None:
    """The text of a message, None where it had neither text nor parts."""
    if message.content is None and not message.parts:
        return None
    return clean(message.text)


def clean(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes "?"."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def optional(text: str | None) -> str | None:
    """The text as `clean` gives it; None stays None."""
    return None if text is None else clean(text)


def finite(value: float | None) -> float | None:
    """A number that JSON can hold; None for NaN and the infinities."""
    return value if value is not None and math.isfinite(value) else None


def plain_json(value: Any) -> Any:
    """A JSON value whose texts UTF-8 can hold, and whose numbers JSON has: others as text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): plain_json(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [plain_json(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return str(value)
    return value


def identity(trajectory: Trajectory) -> dict[str, Any]:
    """What places a rollout in its run, and its scores, for formats with room for more."""
    return {
        "id": optional(trajectory.id),
        "run": clean(trajectory.run),
        "mode": trajectory.mode.value,
        "step": trajectory.step,
        "batch": trajectory.batch,
        "attempt": trajectory.attempt,
        "group_id": clean(trajectory.group_id),
        "sample": trajectory.sample,
        "example_id": optional(trajectory.example_id),
        "reward": finite(trajectory.reward),
        "advantage": finite(trajectory.advantage),
        "stop_reason": optional(trajectory.stop_reason),
        "components": [component_fields(component) for component in trajectory.components],
    }


def component_fields(component: Component) -> dict[str, Any]:
    """One component: a value that is no finite number is null, its status says why."""
    return {
        "name": clean(component.name),
        "value": finite(component.value),
        "weight": finite(component.weight),
        "status": component.status.value,
        "error": optional(component.error),
    }
