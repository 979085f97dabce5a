"""The messages of a conversation: those it starts from, and a completion's, whatever they are.

A message is a mapping with a role, and content that may be text, None or a list of parts.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def opening_messages(system: str, question: str) -> list[dict[str, str]]:
    """The conversation that a rollout starts from."""
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


def tool_of_one_text(name: str, description: str, argument: str) -> dict[str, Any]:
    """The schema of a tool that takes one text, as an OpenAI request names it."""
    parameters = {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def final_text(completion: object) -> str:
    """Text of the last assistant message; empty where there is none."""
    assistants = [m for m in messages_of(completion) if m.get("role") == "assistant"]
    return message_text(assistants[-1]) if assistants else ""


def messages_of(completion: object) -> list[Mapping[str, Any]]:
    """The messages of a completion; a text is one assistant message."""
    if isinstance(completion, str):
        return [{"role": "assistant", "content": completion}]
    if not isinstance(completion, Sequence):
        return []
    return [message for message in completion if isinstance(message, Mapping)]


def message_text(message: Mapping[str, Any]) -> str:
    """A message's text: its content, or its text parts joined by newlines."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
    return "\n".join(part for part in parts if isinstance(part, str))
