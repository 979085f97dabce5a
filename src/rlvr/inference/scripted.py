"""A fake model for tests: an OpenAI-style client that answers from a script.

It stands in for `openai.AsyncOpenAI` wherever only `chat.completions.create` is called. What it
says is decided beforehand, so that a rollout through a real environment can be asserted exactly.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr.errors import InferenceError
from rlvr.record import ToolCall

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["Reply", "ScriptedClient", "call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One assistant message.

    `prompt_ids` and `token_ids` are what a server that returns token ids would give: ids of the
    served prompt and of the sampled text. `logprobs` (nats) has one number per sampled id.
    """

    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    prompt_ids: tuple[int, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the client was asked."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    options: Mapping[str, Any]


Script = list[Reply] | tuple[Reply, ...] | Callable[[Request], Reply]


def call(name: str, arguments: str, *, id: str = "call-0") -> Reply:
    """A reply that calls one tool. `arguments` is the text as written, JSON or not."""
    return Reply(tool_calls=(ToolCall(id=id, name=name, arguments=arguments),))


class ScriptedClient:
    """Answers each request with the script's reply, and keeps the requests.

    A list is indexed by the assistant messages that the conversation already has, so that
    concurrent rollouts each walk through it; a function gets the request.
    """

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self.base_url = "scripted:"
        self.chat = _Chat(_Completions(script, self.requests))


class _Chat:
    def __init__(self, completions: "_Completions") -> None:
        self.completions = completions


class _Completions:
    def __init__(self, script: Script, requests: list[Request]) -> None:
        self._script = script
        self._requests = requests

    async def create(
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        **options: Any,
    ) -> "ChatCompletion":
        """The next reply as a `ChatCompletion`.

        Raises:
            InferenceError: the script has no reply for this turn.
        """
        request = Request(
            model=model, messages=tuple(messages), tools=tuple(tools), options=options
        )
        self._requests.append(request)
        return _completion(self._reply(request), request, number=len(self._requests))

    def _reply(self, request: Request) -> Reply:
        if not isinstance(self._script, list | tuple):
            return self._script(request)
        turn = sum(message.get("role") == "assistant" for message in request.messages)
        if turn >= len(self._script):
            raise InferenceError(
                f"the script has {len(self._script)} replies and was asked for number {turn + 1}; "
                "give it more, or a function"
            )
        reply: Reply = self._script[turn]
        return reply


def _completion(reply: Reply, request: Request, *, number: int) -> "ChatCompletion":
    from openai.types.chat import ChatCompletion

    # Token ids are vLLM's extension: openai's types keep fields that they don't know.
    completion: dict[str, Any] = {
        "id": f"scripted-{number}",
        "created": int(time.time()),
        "model": request.model,
        "object": "chat.completion",
        "choices": [_choice(reply)],
    }
    if reply.prompt_ids is not None:
        completion["prompt_token_ids"] = list(reply.prompt_ids)
    return ChatCompletion.model_validate(completion)


def _choice(reply: Reply) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop"),
        "message": _message(reply),
        "logprobs": _logprobs(reply),
    }
    if reply.token_ids is not None:
        choice["token_ids"] = list(reply.token_ids)
    return choice


def _message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": tool_call.id or "",
                "type": "function",
                "function": {"name": tool_call.name or "", "arguments": tool_call.arguments},
            }
            for tool_call in reply.tool_calls
        ]
    return message


def _logprobs(reply: Reply) -> dict[str, Any] | None:
    """Logprobs with tokens written as "token_id:N", as vLLM does when asked for ids."""
    if reply.logprobs is None or reply.token_ids is None:
        return None
    pairs = zip(reply.token_ids, reply.logprobs, strict=True)
    return {
        "content": [
            {"token": f"token_id:{token}", "logprob": logprob, "top_logprobs": []}
            for token, logprob in pairs
        ]
    }
