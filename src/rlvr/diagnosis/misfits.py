"""Calls that parse and yet do not fit the tool that they name, by the tools' schemas."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rlvr.diagnosis.toolbox import reads_as_failure
from rlvr.record import Json, Message, ToolCall, ToolResult, Trajectory
from rlvr.utils.text import one_line

# What Python says where a function is given other arguments than it takes.
_REFUSED = re.compile(
    r"TypeError: (?P<tool>[\w.<>]+)\(\) (?P<why>got an unexpected keyword argument"
    r" .+|missing \d+ required .*argument.+|got multiple values for .+)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The arguments that a tool's schema names. `others`: it takes further ones."""

    names: tuple[str, ...]
    required: frozenset[str]
    others: bool

    def refuses(self, arguments: Mapping[str, Json]) -> str | None:
        """What is wrong with the names of the arguments; None where they fit."""
        takes = f"it takes {', '.join(self.names)}" if self.names else "it takes none"
        unknown = () if self.others else tuple(n for n in arguments if n not in self.names)
        if unknown:
            return f"has no argument {', '.join(map(repr, unknown))} ({takes})"
        missing = sorted(self.required - set(arguments))
        return f"lacks its argument {', '.join(map(repr, missing))} ({takes})" if missing else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A call that its tool could not take: the assistant turn, from 0, and why."""

    turn: int
    why: str


def signatures(tools: Sequence[Mapping[str, Json]]) -> dict[str, Signature]:
    """The tools whose schemas name their arguments, by name; as chat templates take them."""
    found = {}
    for tool in tools:
        declared = tool.get("function", tool)
        if not isinstance(declared, Mapping):
            continue
        name, schema = declared.get("name"), declared.get("parameters")
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        if not (isinstance(name, str) and isinstance(schema, Mapping)):
            continue
        if not isinstance(properties, Mapping):
            continue
        required = schema.get("required")
        found[name] = Signature(
            names=tuple(map(str, properties)),
            required=frozenset(map(str, required)) if isinstance(required, list) else frozenset(),
            others=schema.get("additionalProperties") not in (None, False),
        )
    return found


def misfits(trajectory: Trajectory, known: Mapping[str, Signature]) -> Iterator[Misfit]:
    """The calls of a rollout that name arguments which their tool does not take, or lack some.

    By the tool's schema, else by its own words where it raised; one that was answered without an
    error fits whatever the schema says. Calls that are malformed already are not among them.
    """
    results = {(r.turn, r.call_id or r.name): r for r in trajectory.tool_results}
    answers = {m.tool_call_id: m for m in trajectory.completion if m.role == "tool"}
    turns = (message for message in trajectory.completion if message.role == "assistant")
    for turn, message in enumerate(turns):
        for call in message.tool_calls:
            result = results.get((turn, call.id or call.name))
            if result is not None and result.malformed:
                continue
            why = _unfit(call, known) or _refused(result)
            if why is not None and not _answered(result, answers.get(call.id)):
                yield Misfit(turn=turn, why=why)


def _refused(result: ToolResult | None) -> str | None:
    found = _REFUSED.match(result.error or "") if result is not None else None
    if found is None or result is None:
        return None
    if found["tool"].rsplit(".", 1)[-1] != result.name:  # something that the tool called itself
        return None
    return one_line(f"{result.name} {found['why']}", 90)


def _unfit(call: ToolCall, known: Mapping[str, Signature]) -> str | None:
    signature = known.get(call.name or "")
    if signature is None:
        return None
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    why = signature.refuses(arguments) if isinstance(arguments, dict) else None
    return one_line(f"{call.name} {why}", 90) if why else None


def _answered(result: ToolResult | None, message: Message | None) -> bool:
    """Whether the tool is known to have taken the call."""
    if result is not None:
        return result.error is None and not reads_as_failure(result.result)
    return message is not None and not reads_as_failure(message.text)
