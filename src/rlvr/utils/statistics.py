"""What can be counted in one trajectory."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from rlvr.record import Message, Trajectory
from rlvr.utils.conversation import shown_text
from rlvr.utils.messages import as_messages, json_object
from rlvr.utils.tags import (
    are_document_ids,
    boxed,
    tag_bodies,
    tag_count,
    tag_is_valid,
    unparsed_calls,
)

__all__ = ["TAGS", "TrajectoryStats", "extract_trajectory_stats"]

TAGS = ("think", "cite", "answer")

# What tools and environments answer with when a call failed.
_ERROR = re.compile(
    r"\s*(\[?error\b|\w*(error|exception)\s*:|traceback \(most recent call last\)"
    r"|invalid (json|arguments|tool)\b|unknown tool\b|tool '?\w*'? not found)",
    re.IGNORECASE,
)


class TrajectoryStats(TypedDict):
    """What `extract_trajectory_stats` counts.

    num_turns: assistant messages. num_tool_responses: messages of tools. num_tool_errors: results
    that are errors (as recorded for a `Trajectory`, else judged by the text of the response).
    num_malformed_calls: calls without a name, or whose arguments are no JSON object.
    num_unparsed_calls: calls that the text opens but nobody parsed. tools: calls per name.
    has_TAG: a complete tag occurs in an assistant message. valid_TAG: every occurrence in every
    assistant message is closed, not nested and not empty; None where there is none. format_valid:
    the last assistant message has each expected tag exactly once and valid, a `<cite>` holds
    document ids, no call is malformed or unparsed. final_answer: the last `<answer>` of the last
    assistant message, else its last `\\boxed{}`, else None. All *_chars are characters of content.
    """

    num_messages: int
    num_turns: int
    num_tool_calls: int
    num_tool_responses: int
    num_tool_errors: int
    num_malformed_calls: int
    num_unparsed_calls: int
    tools: dict[str, int]
    num_chars: int
    assistant_chars: int
    tool_chars: int
    has_think: bool
    has_cite: bool
    has_answer: bool
    valid_think: bool | None
    valid_cite: bool | None
    valid_answer: bool | None
    format_valid: bool
    cited: list[str]
    final_answer: str | None


def extract_trajectory_stats(
    messages: object, completion: object = None, *, tags: Sequence[str] = TAGS
) -> TrajectoryStats:
    """Count turns, tool calls, responses, errors, tags and characters of one trajectory.

    Takes what `format_conversation` takes. With a `completion`, or for a `Trajectory`, only the
    completion is counted: a prompt may hold example turns. `tags` are those that `format_valid`
    expects. Never raises and never changes its arguments.
    """
    trajectory = messages if isinstance(messages, Trajectory) else None
    if trajectory is not None and completion is None:
        counted = trajectory.completion
    elif completion is not None:
        counted = as_messages(completion, "assistant")
    else:
        counted = as_messages(messages, "assistant")
    texts = [shown_text(message) for message in counted if message.role == "assistant"]
    last = texts[-1] if texts else ""
    responses = [m for m, is_tool in zip(counted, _tools(counted), strict=True) if is_tool]
    calls = [call for message in counted for call in message.tool_calls]
    malformed = sum(call.name is None or not _parses(call.arguments) for call in calls)
    unparsed = _unparsed(counted)
    cited = tag_bodies(last, "cite")
    answers = tag_bodies(last, "answer")
    return TrajectoryStats(
        num_messages=len(counted),
        num_turns=len(texts),
        num_tool_calls=len(calls),
        num_tool_responses=len(responses),
        num_tool_errors=_errors(trajectory, responses),
        num_malformed_calls=malformed,
        num_unparsed_calls=unparsed,
        tools=dict(Counter(call.name or "unknown" for call in calls)),
        num_chars=sum(len(message.text) for message in counted),
        assistant_chars=sum(map(len, texts)),
        tool_chars=sum(len(message.text) for message in responses),
        has_think=any(tag_bodies(text, "think") for text in texts),
        has_cite=any(tag_bodies(text, "cite") for text in texts),
        has_answer=any(tag_bodies(text, "answer") for text in texts),
        valid_think=_valid(texts, "think"),
        valid_cite=_valid(texts, "cite"),
        valid_answer=_valid(texts, "answer"),
        format_valid=malformed == unparsed == 0 and bool(texts) and _each_once(last, tags),
        cited=[part.strip() for part in cited[-1].split(",") if part.strip()] if cited else [],
        final_answer=answers[-1] if answers else boxed(last),
    )


def _tools(counted: Sequence[Message]) -> list[bool]:
    return [message.role in ("tool", "function", "ipython") for message in counted]


def _parses(arguments: str) -> bool:
    return not arguments.strip() or json_object(arguments) is not None


def _unparsed(counted: Sequence[Message]) -> int:
    return sum(
        unparsed_calls(message.text)
        for message in counted
        if message.role == "assistant" and not message.tool_calls
    )


def _errors(trajectory: Trajectory | None, responses: Sequence[Message]) -> int:
    if trajectory is not None and trajectory.tool_results:
        results = trajectory.tool_results
        return sum(result.error is not None or result.malformed for result in results)
    return sum(_ERROR.match(message.text) is not None for message in responses)


def _valid(texts: Sequence[str], tag: str) -> bool | None:
    using = [text for text in texts if tag_count(text, tag)]
    return all(tag_is_valid(text, tag) for text in using) if using else None


def _each_once(text: str, tags: Sequence[str]) -> bool:
    once = all(len(tag_bodies(text, tag)) == 1 and tag_is_valid(text, tag) for tag in tags)
    return once and all(are_document_ids(body) for body in tag_bodies(text, "cite"))
