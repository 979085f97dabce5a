"""The texts of a trajectory that are searched, each with where it stands."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.codec import load, to_message, unpack
from rlvr.record import Message
from rlvr.runs.search.query import Role

CONTENT = ("question", "answer", "prompt", "completion", "tool_results")
"""The columns that the texts come from. A file whose messages were pruned lacks the last three."""

_ROLES: Mapping[str, Role] = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
    "ipython": Role.TOOL,
}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_COLOURS = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One text. `message` is its place in prompt and completion; `turn` the assistant turn with
    which `rlvr show --turn` shows it; either is None where there is none. `tool` is what a call of
    the completion calls.

    NUL and lone surrogates stand as U+FFFD, so that places in the text are those of the record.
    """

    role: Role
    text: str
    message: int | None = None
    turn: int | None = None
    tool: str | None = None


def pieces(row: Mapping[str, Any]) -> Iterator[Piece]:
    """The texts of a row with the columns CONTENT, in the order in which they are read.

    Raises:
        UndecodableText: a text of it does not decode.
    """
    for role, column in ((Role.QUESTION, "question"), (Role.ANSWER, "answer")):
        if row.get(column):
            yield Piece(role=role, text=storable(unpack(row[column])))
    prompt = _messages(row.get("prompt"))
    messages = prompt + _messages(row.get("completion"))
    answers = [at for at in range(len(prompt), len(messages)) if messages[at].role == "assistant"]
    turns = _turns(len(messages), answers)
    for at, message in enumerate(messages):
        for role, text, called in _texts(message):
            tool = storable(called) if called is not None and at >= len(prompt) else None
            yield Piece(role=role, text=storable(text), message=at, turn=turns[at], tool=tool)
    shown = {message.text for message in messages}
    for result in load(row["tool_results"]) if row.get("tool_results") else ():
        turn = result["turn"] if 0 <= result["turn"] < len(answers) else None
        for text in (result.get("result"), result.get("error")):
            if text and text not in shown:
                yield Piece(role=Role.TOOL, text=storable(text), turn=turn)


def _messages(text: str | None) -> list[Message]:
    return [to_message(shape) for shape in load(text)] if text else []


def _texts(message: Message) -> Iterator[tuple[Role, str, str | None]]:
    if message.reasoning:
        yield Role.REASONING, message.reasoning, None
    if message.text:
        yield _ROLES.get(message.role, Role.OTHER), message.text, None
    for call in message.tool_calls:
        yield Role.CALL, f"{call.name or ''}({call.arguments})", call.name


def _turns(length: int, answers: Sequence[int]) -> list[int | None]:
    """The turn that shows each message: turn 0 begins right before its answer, and each ends
    before the next answer."""
    turns: list[int | None] = [None] * length
    if not answers:
        return turns
    turn = 0
    for at in range(max(answers[0] - 1, 0), length):
        if turn + 1 < len(answers) and at == answers[turn + 1]:
            turn += 1
        turns[at] = turn
    return turns


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL and lone surrogate, as pieces have it."""
    return text if text.isascii() and "\0" not in text else _UNSTORABLE.sub("\ufffd", text)


def words_of(text: str) -> str:
    """The text, as long, with blanks for sequences that colour a terminal: they end in a letter,
    which would otherwise begin the word after them."""
    if "\x1b" not in text:
        return text
    return _COLOURS.sub(lambda found: " " * len(found.group()), text)
