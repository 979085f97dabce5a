"""Tool calls of TRL's trainer: what each tool returned or raised, and which call it answers.

TRL's calls have no ids, and it deletes the messages of calls whose results are too long. What a
tool did is therefore noted while it runs, under the call's place: its assistant message, from 0,
and its number in it.
"""

import functools
import inspect
import json
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rlvr.capture.messages import freeze_tool_call
from rlvr.capture.plain import plain
from rlvr.record import ToolResult

Place = tuple[int, int]

_WRITTEN = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_ARGUMENTS = re.compile(r'"arguments"\s*:\s*')


@dataclass(slots=True, kw_only=True)
class Executed:
    """One call that reached its tool. `deferred`: its message follows those of all others."""

    deferred: bool = False
    result: str | None = None
    error: BaseException | None = None
    duration_s: float | None = None


def recording_tool(
    tool: Callable[..., Any], begin: Callable[[Mapping[str, Any]], Executed | None]
) -> Callable[..., Any]:
    """A tool whose calls are noted in what `begin` returns for their arguments; None for not."""

    @functools.wraps(tool)
    def call(*args: Any, **kwargs: Any) -> Any:
        executed = begin(kwargs)
        with _timed(executed):
            result = tool(*args, **kwargs)
            if not inspect.iscoroutine(result):
                return _noted(executed, result)
        if executed is not None:
            executed.deferred = True
        return _awaited(result, executed)

    return call


async def _awaited(pending: Any, executed: Executed | None) -> Any:
    with _timed(executed):
        return _noted(executed, await pending)


def _noted(executed: Executed | None, result: Any) -> Any:
    if executed is not None:
        executed.result = _text(result)
    return result


def _text(result: Any) -> str:
    try:
        return result if isinstance(result, str) else str(plain(result))
    except Exception as error:  # noqa: BLE001  # the fence: a result's own str() may raise
        return f"<{type(result).__name__}: {type(error).__name__} in its text>"


@contextmanager
def _timed(executed: Executed | None) -> Iterator[None]:
    """Note seconds and exception of a block; the exception goes on."""
    started = time.perf_counter()
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        if executed is not None:
            executed.duration_s = time.perf_counter() - started
            executed.error = error


def place_of_call(
    messages: Sequence[Any], name: str, arguments: Mapping[str, Any], taken: Mapping[Place, object]
) -> Place:
    """The place of a call that is being executed: TRL runs those of the last message in order.

    Raises:
        LookupError: the last message has no such call left.
    """
    turn = assistants(messages) - 1
    calls = messages[-1].get("tool_calls") or ()
    left = [
        place
        for place, call in enumerate(calls)
        if (turn, place) not in taken and _function(call).get("name") == name
    ]
    same = [place for place in left if _function(calls[place]).get("arguments") == arguments]
    if not left:
        raise LookupError(f"message {turn} has no further call of {name}")
    return turn, (same or left)[0]


def assistants(messages: Sequence[Any]) -> int:
    """How many of the messages are the model's."""
    return sum(message.get("role") == "assistant" for message in messages)


def with_ids(
    messages: Sequence[Any], executed: Mapping[Place, Executed], texts: Mapping[int, str]
) -> list[Any]:
    """The messages with an id on each call and on its answer, and arguments as written.

    `texts` has the sampled text of each assistant message with calls. A call that has an id keeps
    it.
    """
    named: list[Any] = []
    ids: list[str] = []
    turn = -1
    for message in messages:
        if message.get("role") == "assistant":
            turn += 1
            calls = message.get("tool_calls") or ()
            marked = _marked(turn, calls, texts.get(turn, ""))
            ids = [marked[place]["id"] for place in _answer_order(turn, len(calls), executed)]
            named.append({**message, "tool_calls": marked} if calls else message)
        elif message.get("role") == "tool" and ids:
            named.append({"tool_call_id": ids.pop(0), **message})
        else:
            named.append(message)
    return named


def tool_results(
    messages: Sequence[Any], executed: Mapping[Place, Executed], *, tool_turns: int
) -> Iterator[ToolResult]:
    """What became of each call of the named messages, in order, of those rolled back too.

    `tool_turns`: assistant messages whose calls TRL executes; what later ones call has no result.
    """
    answers = {
        message["tool_call_id"]: message.get("content")
        for message in messages
        if message.get("role") == "tool" and "tool_call_id" in message
    }
    turn = -1
    for message in messages:
        if message.get("role") != "assistant":
            continue
        turn += 1
        if turn >= tool_turns:
            return
        for place, call in enumerate(message.get("tool_calls") or ()):
            found = executed.get((turn, place))
            yield _tool_result(turn, call, found, answers)


def _tool_result(
    turn: int, call: Mapping[str, Any], executed: Executed | None, answers: Mapping[str, Any]
) -> ToolResult:
    frozen = freeze_tool_call(call)
    rolled_back = call["id"] not in answers
    if executed is None:
        told = "" if rolled_back else f"; the model was told: {answers[call['id']]}"
        return ToolResult(
            turn=turn,
            call_id=frozen.id,
            name=frozen.name,
            arguments=frozen.arguments,
            error=f"the call reached no tool{told}",
            malformed=True,
            rolled_back=rolled_back,
        )
    error = executed.error
    return ToolResult(
        turn=turn,
        call_id=frozen.id,
        name=frozen.name,
        arguments=frozen.arguments,
        result=executed.result,
        error=None if error is None else f"{type(error).__name__}: {error}",
        traceback=None if error is None else "".join(traceback.format_exception(error)),
        duration_s=executed.duration_s,
        rolled_back=rolled_back,
    )


def _answer_order(turn: int, calls: int, executed: Mapping[Place, Executed]) -> list[int]:
    """The calls in the order of their answers: TRL appends those of coroutines last."""

    def is_deferred(place: int) -> bool:
        found = executed.get((turn, place))
        return found is not None and found.deferred

    return sorted(range(calls), key=is_deferred)


def _marked(turn: int, calls: Sequence[Mapping[str, Any]], text: str) -> list[dict[str, Any]]:
    written = _written_arguments(text, calls)
    marked = []
    for place, call in enumerate(calls):
        copied = {**call, "id": call.get("id") or f"call-{turn}-{place}"}
        if written[place] is not None:
            copied["function"] = {**_function(call), "arguments": written[place]}
        marked.append(copied)
    return marked


def _written_arguments(text: str, calls: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """The arguments as they stand in the sampled text; None where the text does not show them."""
    blocks = _WRITTEN.findall(text)
    if len(blocks) != len(calls):
        return [None] * len(calls)
    return [_arguments_in(block, call) for block, call in zip(blocks, calls, strict=True)]


def _arguments_in(block: str, call: Mapping[str, Any]) -> str | None:
    """The arguments in the text of a call; None where the text is of another call.

    Values may differ: transformers makes "1" a number where the tool's schema asks for one.
    """
    found = _ARGUMENTS.search(block)
    parsed = _function(call).get("arguments")
    if found is None or not isinstance(parsed, Mapping):
        return None
    try:
        name = json.loads(block).get("name")
        value, stop = json.JSONDecoder().raw_decode(block, found.end())
    except ValueError:
        return None
    same = name == _function(call).get("name") and value.keys() == parsed.keys()
    return block[found.end() : stop] if same else None


def _function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function")
    return function if isinstance(function, Mapping) else {}
