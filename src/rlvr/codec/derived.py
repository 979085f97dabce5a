"""The derived columns of a trajectory: pure functions of the record, of one declared version."""

import hashlib
import re
from collections.abc import Iterable, Mapping

from rlvr.record import Message, Trajectory
from rlvr.schema import DERIVED_VERSION

_CALL_MARKS = (
    "<tool_call>",
    "<function_call>",
    "<function=",
    "<|tool_call",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "<\uff5ctool\u2581call",  # DeepSeek's, with its full-width bar
)


def derived_columns(trajectory: Trajectory) -> Mapping[str, int | bool | str | None]:
    """Every `derived_*` column of one trajectory."""
    completion = trajectory.completion
    texts = [message.text for message in completion if message.role == "assistant"]
    failed = [r for r in trajectory.tool_results if r.error is not None or r.malformed]
    return {
        "derived_version": DERIVED_VERSION,
        "derived_num_turns": len(texts),
        "derived_num_tool_calls": len(trajectory.tool_calls),
        "derived_num_tool_responses": sum(message.role == "tool" for message in completion),
        "derived_num_tool_errors": len(failed),
        "derived_think_valid": tag_valid(texts, "think"),
        "derived_cite_valid": tag_valid(texts, "cite"),
        "derived_answer_valid": tag_valid(texts, "answer"),
        "derived_unparsed_call": any(map(has_unparsed_call, completion)),
        "derived_text_hash": text_hash(completion),
    }


def tag_valid(texts: Iterable[str], tag: str) -> bool | None:
    """Whether every `<tag>` is closed in its message, not nested and not empty; None if unused."""
    marks = re.compile(rf"<(/?){tag}>")
    used = False
    for text in texts:
        found = list(marks.finditer(text))
        used = used or bool(found)
        if len(found) % 2:
            return False
        for opening, closing in zip(found[::2], found[1::2], strict=True):
            inner = text[opening.end() : closing.start()]
            if opening[1] or not closing[1] or not inner.strip():
                return False
    return True if used else None


def has_unparsed_call(message: Message) -> bool:
    """Whether the text of an assistant message holds a call although the message has none."""
    if message.role != "assistant" or message.tool_calls:
        return False
    text = message.text
    return any(mark in text for mark in _CALL_MARKS)


def text_hash(messages: Iterable[Message]) -> str:
    """16 hex digits over role, text and calls of the messages: equal means the same rollout."""
    digest = hashlib.sha256()
    for message in messages:
        calls = ((call.name or "") + "\0" + call.arguments for call in message.tool_calls)
        whole = "\0".join((message.role, message.text, *calls))
        digest.update(whole.encode("utf-8", "surrogatepass") + b"\1")
    return digest.hexdigest()[:16]
