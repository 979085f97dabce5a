"""The OpenAI client of an engine in this process: chat requests in, completions out.

Concurrent requests are gathered and answered by one call of the engine.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
from openai import BadRequestError
from openai.types.chat import ChatCompletion

from rlvr.errors import ConfigurationError

_GATHER_S = 0.002  # requests that arrive within this time share a generate call


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters that one generate call shares."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    max_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One chat request, rendered and tokenised."""

    prompt_ids: list[int]
    sampling: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What answers a request. `finished` says that the last id ends the turn."""

    ids: list[int]
    logprobs: list[float]
    finished: bool


class Engine(Protocol):
    """What the client needs of an engine."""

    tokenizer: Any

    def prompt_ids(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None
    ) -> list[int]:
        """Render and tokenise a conversation."""

    async def answer(self, requests: Sequence[Request]) -> list[Sample]:
        """One sample a request, in order."""

    def message(self, text: str, *, with_tools: bool) -> dict[str, Any]:
        """The assistant's message that a sampled text stands for."""


class EmbeddedClient:
    """The part of the asynchronous OpenAI client that environments call."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[tuple[Request, asyncio.Future[Sample]]] = []
        self._gatherer: asyncio.Task[None] | None = None
        self.chat = self
        self.completions = self
        self.base_url = "embedded:"  # verifiers 0.1.6 keeps it with its results

    async def create(  # the OpenAI client's own parameters
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Any] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        n: int = 1,
        max_tokens: int | None = None,
        max_completion_tokens: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        stop: Sequence[str] | str | None = None,
        **_: Any,
    ) -> ChatCompletion:
        """Answer one chat request with one sampled completion.

        Raises:
            ConfigurationError: `n` is not 1, or a penalty or stop text is asked for.
            openai.BadRequestError: the prompt is longer than the model's context, as vLLM says it.
        """
        if n != 1:
            raise ConfigurationError(f"embedded inference samples one answer a request, not {n}")
        if presence_penalty or frequency_penalty or stop:
            raise ConfigurationError(
                "embedded inference has no presence_penalty, frequency_penalty or stop texts: leave"
                " them out, or sample with vLLM"
            )
        extra = {name: value for name, value in (extra_body or {}).items() if value is not None}
        request = Request(
            prompt_ids=self._engine.prompt_ids(messages, tools),
            sampling=Sampling(
                temperature=1.0 if temperature is None else temperature,
                top_p=1.0 if top_p is None else top_p,
                top_k=int(extra.get("top_k", -1)),
                min_p=float(extra.get("min_p", 0.0)),
                repetition_penalty=float(extra.get("repetition_penalty", 1.0)),
                max_tokens=max_completion_tokens or max_tokens,
            ),
        )
        future: asyncio.Future[Sample] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._gatherer is None or self._gatherer.done():
            self._gatherer = asyncio.create_task(self._gather())
        return self._completion(model, request, await future, with_tools=bool(tools))

    async def close(self) -> None:
        """Nothing is held open."""

    async def _gather(self) -> None:
        """Answer waiting requests, those that arrive close together in one call."""
        while self._waiting:
            seen = -1
            while seen != len(self._waiting):
                seen = len(self._waiting)
                await asyncio.sleep(_GATHER_S)
            batch, self._waiting = self._waiting, []
            try:
                samples = await self._engine.answer([request for request, _ in batch])
            except Exception as error:  # noqa: BLE001  # every waiting request must hear of it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), sample in zip(batch, samples, strict=True):
                if not future.done():
                    future.set_result(sample)

    def _completion(
        self, model: str, request: Request, sample: Sample, *, with_tools: bool
    ) -> ChatCompletion:
        tokenizer = self._engine.tokenizer
        shown = sample.ids[:-1] if sample.finished else sample.ids
        text = tokenizer.decode(
            shown, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        message = self._engine.message(text, with_tools=with_tools)
        calls = message.get("tool_calls")
        reason = "length" if not sample.finished else "tool_calls" if calls else "stop"
        return ChatCompletion.model_validate(
            {
                "id": f"embedded-{uuid.uuid4().hex}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": model,
                "prompt_token_ids": request.prompt_ids,
                "usage": {
                    "prompt_tokens": len(request.prompt_ids),
                    "completion_tokens": len(sample.ids),
                    "total_tokens": len(request.prompt_ids) + len(sample.ids),
                },
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": reason,
                        "message": message,
                        "token_ids": sample.ids,
                        "logprobs": {
                            "content": [
                                {
                                    "token": f"token_id:{token}",
                                    "logprob": logprob,
                                    "top_logprobs": [],
                                }
                                for token, logprob in zip(sample.ids, sample.logprobs, strict=True)
                            ]
                        },
                    }
                ],
            }
        )


def refusal(reason: str) -> BadRequestError:
    """A refusal as vLLM sends it, which environments know how to read."""
    error = {"error": {"message": reason, "type": "BadRequestError", "code": 400}}
    request = httpx2.Request("POST", "http://embedded/v1/chat/completions")
    text = json.dumps(error, separators=(",", ":"), ensure_ascii=False)
    response = httpx2.Response(400, text=text, request=request)
    return BadRequestError(reason, response=response, body=None)
