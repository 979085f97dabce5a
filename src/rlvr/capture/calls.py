"""Tool calls on their way: wrapped tools, calls as written, calls that do not parse."""

import functools
import inspect
import json
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

from rlvr.capture.messages import freeze_message
from rlvr.capture.plain import plain
from rlvr.capture.rollout import (
    CURRENT_CALL,
    CURRENT_ROLLOUT,
    RolloutCapture,
    ToolCallCapture,
    record_tool_result,
)
from rlvr.record import ToolCall, ToolResult


class RecordingTools(MutableMapping[str, Any]):
    """A mapping of tools that hands out recording wrappers."""

    def __init__(self, tools: MutableMapping[str, Callable[..., Any]]) -> None:
        self._tools = tools

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return _recording_tool(self._tools[name])

    def __setitem__(self, name: str, tool: Callable[..., Any]) -> None:
        self._tools[name] = tool

    def __delitem__(self, name: str) -> None:
        del self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)


def _recording_tool(tool: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a tool: keep what it returned or raised, and how long it took."""

    @functools.wraps(tool)
    async def call(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        capture = CURRENT_CALL.get()
        try:
            result = tool(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:
            if capture is not None:
                record_tool_result(
                    capture, result=None, error=error, duration_s=time.perf_counter() - started
                )
            raise
        if capture is not None:
            record_tool_result(
                capture,
                result=result if isinstance(result, str) else str(plain(result)),
                error=None,
                duration_s=time.perf_counter() - started,
            )
        return result

    return call


def take_written(rollout: RolloutCapture, call_id: str, name: str) -> str | None:
    """The arguments of the next call of that id, as the model wrote them."""
    for index, call in enumerate(rollout.written):
        if (call.id or "") == call_id and (call.name or "") == name:
            return rollout.written.pop(index).arguments
    return None


def note_unanswered(call: ToolCallCapture, shown: Any, *, known: bool) -> None:
    """Note a call that no tool answered: `shown` is what the model was told instead."""
    call.rollout.tool_results.append(
        ToolResult(
            turn=max(len(call.rollout.turns) - 1, 0),
            call_id=call.call_id,
            name=call.name,
            arguments=call.arguments,
            error=f"the call reached no tool; the model was told: {shown}",
            malformed=not known,
        )
    )


def malformed_calls(calls: Iterable[ToolCall]) -> dict[int, str]:
    """What is wrong with each call whose arguments are no JSON object, by place."""
    broken = {}
    for index, call in enumerate(calls):
        try:
            if not isinstance(json.loads(call.arguments), dict):
                broken[index] = "the arguments are not a JSON object"
        except ValueError as error:
            broken[index] = f"the arguments are not valid JSON ({error})"
    return broken


def with_readable_calls(message: Any) -> Any:
    """The message with every call's arguments as valid JSON: text that is none becomes a string.

    The library decodes all arguments of a conversation when it tokenises it.
    """
    calls = freeze_message(message).tool_calls
    broken = malformed_calls(calls)
    if not broken:
        return message
    return {
        **message,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments) if index in broken else call.arguments,
                },
            }
            for index, call in enumerate(calls)
        ],
    }


def answer_malformed(call: ToolCall, reason: str) -> dict[str, Any]:
    """Tell the model what was wrong with its call, and keep the call as it was written."""
    rollout = CURRENT_ROLLOUT.get()
    if rollout is not None:
        rollout.tool_results.append(
            ToolResult(
                turn=max(len(rollout.turns) - 1, 0),
                call_id=call.id,
                name=call.name,
                arguments=call.arguments,
                error=reason,
                malformed=True,
            )
        )
    return {"role": "tool", "tool_call_id": call.id or "", "content": f"Error: {reason}."}
