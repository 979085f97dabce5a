"""Messages as JSON text: what `dump_plain` makes of their shapes, in a third of the time.

Nearly all that a run writes is the text of messages, on a thread that takes the GIL from training.
"""

from collections.abc import Sequence

from rlvr.codec.shapes import message_shape
from rlvr.codec.text import dump_plain, has_controls, has_tags, string_body
from rlvr.record import Message


def messages_text(messages: Sequence[Message]) -> str:
    """JSON of the messages, in order."""
    try:
        pieces = ["["]
        for message in messages:
            _add_message(pieces, message)
            pieces.append(",")
        pieces[-1 if messages else len(pieces) :] = "]"
        text = "".join(pieces)
        plain = not has_tags(text) and not has_controls(text)
    except (TypeError, ValueError, AttributeError):  # no text, or none that UTF-8 can hold
        plain = False
    return text if plain else _slowly(messages)


def _slowly(messages: Sequence[Message]) -> str:
    return dump_plain([message_shape(message) for message in messages])


def _add_message(pieces: list[str], message: Message) -> None:
    """Add the JSON of a message; each text is copied once more only, when all are joined."""
    if message.parts:
        pieces.append(dump_plain(message_shape(message)))
        return
    pieces += ('{"role":"', string_body(message.role))
    if message.content is not None:
        pieces += ('","content":"', string_body(message.content))
    if message.reasoning is not None:
        pieces += ('","reasoning":"', string_body(message.reasoning))
    pieces.append('"')
    if message.tool_calls:
        _add_calls(pieces, message)
    if message.tool_call_id is not None:
        pieces += (',"tool_call_id":"', string_body(message.tool_call_id), '"')
    if message.name is not None:
        pieces += (',"name":"', string_body(message.name), '"')
    if message.rest is not None:
        pieces += (',"rest":"', string_body(message.rest), '"')
    pieces.append("}")


def _add_calls(pieces: list[str], message: Message) -> None:
    pieces.append(',"tool_calls":')
    opening = "["
    for call in message.tool_calls:
        pieces += (opening, '{"id":', _or_null(call.id), ',"name":', _or_null(call.name))
        pieces += (',"arguments":"', string_body(call.arguments), '"}')
        opening = ","
    pieces.append("]")


def _or_null(text: str | None) -> str:
    return "null" if text is None else f'"{string_body(text)}"'
