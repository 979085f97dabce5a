"""A rollout as a sequence of actions: tool calls, and what was said without one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.record import Message, ToolCall, Trajectory
from rlvr.utils.conversation import shown_text
from rlvr.utils.messages import json_object
from rlvr.utils.tags import boxed, opens_call, tag_bodies
from rlvr.utils.text import one_line

ANSWER, TEXT, UNPARSED = "answer", "text", "unparsed call"
"""What an assistant message without calls is: it holds an answer, it does not, or it opens a call
that nobody parsed."""

NO_TOOL = "(no tool)"
"""Stands for the tool of a call that names none."""

_CHARS = 20_000
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that the policy did.

    `turn` counts the assistant messages before, `call` the calls before in the same message, None
    for a message without calls. `name` is the tool's, or ANSWER, TEXT, UNPARSED. `said` are the
    arguments, JSON with sorted keys where they are an object, or the text, white space as one
    blank. `shown` is what a person reads.
    """

    turn: int
    call: int | None
    name: str
    said: str
    shown: str

    @property
    def signature(self) -> tuple[str, str]:
        """Two actions with the same are the same action."""
        return self.name, self.said


def actions(trajectory: Trajectory) -> tuple[Action, ...]:
    """Every action of the completion, in order."""
    turns = (message for message in trajectory.completion if message.role == "assistant")
    return tuple(action for turn, message in enumerate(turns) for action in _of(turn, message))


def argument_text(call: ToolCall) -> str:
    """The values of the arguments as text, without their names; as written where they are no
    object."""
    parsed = json_object(call.arguments)
    if parsed is None:
        return call.arguments[:_CHARS]
    return " ".join(map(_text, parsed.values()))[:_CHARS]


def _of(turn: int, message: Message) -> Iterator[Action]:
    for at, call in enumerate(message.tool_calls):
        name = call.name or NO_TOOL
        yield Action(turn=turn, call=at, name=name, said=canonical(call), shown=_shown(name, call))
    if not message.tool_calls:
        text = shown_text(message)
        name, said = _spoken(text)
        said = " ".join(said[:_CHARS].split())
        yield Action(turn=turn, call=None, name=name, said=said, shown=_line(f"{name}: {said}"))


def canonical(call: ToolCall) -> str:
    """The arguments so that equal ones are equal texts."""
    parsed = json_object(call.arguments)
    if parsed is None:
        return " ".join(call.arguments.split())[:_CHARS]
    return json.dumps(parsed, sort_keys=True, ensure_ascii=False)[:_CHARS]


def _spoken(text: str) -> tuple[str, str]:
    answers = tag_bodies(text, "answer")
    if answers:
        return ANSWER, answers[-1]
    box = boxed(text)
    if box is not None:
        return ANSWER, box
    return UNPARSED if opens_call(text) else TEXT, text


def _shown(name: str, call: ToolCall) -> str:
    parsed = json_object(call.arguments)
    if parsed is None:
        inside = call.arguments
    elif len(parsed) == 1:
        inside = _text(next(iter(parsed.values())))
    else:
        inside = ", ".join(f"{key}={_text(value)}" for key, value in parsed.items())
    return _line(f"{name}({inside})")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(text: str) -> str:
    return one_line(text, _SHOWN)
