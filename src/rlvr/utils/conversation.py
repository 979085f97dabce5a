"""A conversation as text: what a person reads to understand one trajectory."""

from collections import deque
from collections.abc import Sequence

from rlvr.record import ContentPart, Message, ToolCall
from rlvr.utils.messages import as_messages, json_object
from rlvr.utils.text import cut_middle, one_line, printable

__all__ = ["DEFAULT_MAX_CHARS", "answered_names", "format_conversation", "shown_text"]

DEFAULT_MAX_CHARS = 1_000_000

_HEADERS = {
    "system": "📜 SYSTEM",
    "developer": "📜 DEVELOPER",
    "user": "👤 USER",
    "assistant": "🤖 ASSISTANT",
}
_TOOL_ROLES = frozenset({"tool", "function", "ipython"})
_REASONING_PARTS = frozenset({"thinking", "reasoning"})


def format_conversation(
    messages: object,
    completion: object = None,
    *,
    max_chars: int | None = DEFAULT_MAX_CHARS,
    note: str = "",
) -> str:
    """The whole conversation as text, every tool call and tool result in its place.

    `messages` is the conversation, or its prompt where `completion` is given. Both take a list of
    messages (dicts, pydantic objects, `rlvr.record.Message`), one message, a `Trajectory`, a string
    (a prompt is the user's, a completion the assistant's) or None. Never raises and never changes
    its arguments. More than `max_chars` characters are cut in the middle, with a marker that says
    how many and carries `note`; None cuts nothing.

    Newlines around a message's content are left out; arguments of calls stand as written.
    """
    conversation = as_messages(messages, "user") + as_messages(completion, "assistant")
    names = answered_names(conversation)
    blocks = (
        block
        for message, name in zip(conversation, names, strict=True)
        for block in _blocks(message, name)
    )
    return cut_middle(printable("\n\n".join(blocks)), max_chars, note)


def answered_names(conversation: Sequence[Message]) -> tuple[str | None, ...]:
    """Per message, the name of the tool that it is a result of; None for all other messages.

    A result without a name has the name of the call with its `tool_call_id`, the newest of them
    where ids repeat; without an id, that of the first call that no result has answered yet.
    """
    by_id: dict[str, str | None] = {}
    unanswered: deque[ToolCall] = deque()
    names: list[str | None] = []
    for message in conversation:
        if message.role in _TOOL_ROLES:
            names.append(_tool_name(message, by_id, unanswered))
            continue
        names.append(None)
        if message.role == "assistant":
            unanswered = deque(message.tool_calls)
            by_id.update((call.id, call.name) for call in message.tool_calls if call.id is not None)
    return tuple(names)


def _tool_name(
    message: Message, by_id: dict[str, str | None], unanswered: deque[ToolCall]
) -> str | None:
    first = unanswered.popleft() if unanswered else None
    if message.name:
        return message.name
    if message.tool_call_id is not None:
        return by_id.get(message.tool_call_id)
    return first.name if first is not None else None


def _blocks(message: Message, tool_name: str | None) -> list[str]:
    body = shown_text(message).strip("\n")
    if not body and not message.tool_calls:
        body = "(no content)" if message.content is None and not message.parts else "(empty)"
    header = _header(message, tool_name)
    blocks = [f"{header}\n{body}" if body else header]
    if message.tool_calls:
        blocks.append("\n".join(["📞 TOOL CALLS:", *map(_call_line, message.tool_calls)]))
    return blocks


def _header(message: Message, tool_name: str | None) -> str:
    if message.role in _TOOL_ROLES:
        return f"🔧 TOOL [{one_line(tool_name or 'unknown')}]:"
    known = _HEADERS.get(message.role)
    title = known or f"❔ {one_line(message.role).upper() or 'UNKNOWN'}"
    return f"{title} [{one_line(message.name)}]:" if message.name else f"{title}:"


def _call_line(call: ToolCall) -> str:
    if call.name is None:
        return f"  • {call.arguments}  [names no tool]"
    line = f"  • {one_line(call.name)}({call.arguments})"
    if call.arguments.strip() and json_object(call.arguments) is None:
        line += "  [arguments are no JSON object]"
    return line


def shown_text(message: Message) -> str:
    """The content of a message, with its reasoning as a `<think>` block unless it holds that."""
    if message.content is not None:
        pieces = [message.content]
        pieces += [_part(part) for part in message.parts if part.type == "refusal"]
    else:
        pieces = [_part(part) for part in message.parts]
    content = "\n".join(piece for piece in pieces if piece)
    reasoning = (message.reasoning or "").strip()
    if not reasoning or ("<think>" in content and reasoning in content):
        return content
    return f"{_think(reasoning)}\n{content}".rstrip("\n")


def _think(reasoning: str) -> str:
    return f"<think>\n{reasoning}\n</think>"


def _part(part: ContentPart) -> str:
    if part.text is not None:
        if part.type in _REASONING_PARTS:
            return _think(part.text.strip())
        return f"[refusal] {part.text}" if part.type == "refusal" else part.text
    return f"[{one_line(_kind(part))}: {_what(part)}]"


def _kind(part: ContentPart) -> str:
    return {"image_url": "image", "input_audio": "audio", "input_image": "image"}.get(
        part.type, part.type
    )


def _what(part: ContentPart) -> str:
    if part.blob is not None:
        return f"{part.media_type or 'bytes'} {part.blob[:12]}"
    rest = part.rest or ""
    if rest.startswith("data:"):
        head, _, payload = rest.partition(",")
        return f"{one_line(head[5:], 80)}, {len(payload):,} characters"
    return one_line(rest) or "empty"
