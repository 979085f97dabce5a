"""Rollouts sampled inside the training process, from a replica of the policy's weights.

The engine speaks to a trainer through the verbs of vLLM's weight sync and to an environment
through the OpenAI client's `chat.completions.create`. Concurrent requests are answered by one
`generate` call. Sampled ids and their logprobs are kept as sampled; tool calls are parsed from the
model's own text.
"""

import asyncio
import contextlib
import copy
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2
import torch
from jinja2 import UndefinedError
from openai import BadRequestError
from openai.types.chat import ChatCompletion
from transformers import GenerationConfig

from rlvr.errors import ConfigurationError, InferenceError
from rlvr.inference.tool_calls import parse_tool_calls

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
    """What answers a request. `finished` says that the last id is the end-of-turn token."""

    ids: list[int]
    logprobs: list[float]
    finished: bool


@dataclass(slots=True)
class EmbeddedEngine:
    """An evaluation-mode replica of a causal language model that answers chat requests.

    max_model_len: longest prompt plus completion, in tokens. max_batch: rows of one generate call.
    """

    model: Any
    tokenizer: Any
    max_model_len: int
    max_batch: int = 64
    _replica: Any = None
    _takes_text: bool = False
    _parameters: dict[str, torch.Tensor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="rlvr-embedded")
    )

    def __post_init__(self) -> None:
        base = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        with torch.random.fork_rng():  # building the replica must not move the run's seed
            replica = type(base)(copy.deepcopy(base.config))
        self._replica = replica.to(device=self.model.device, dtype=self.model.dtype).eval()
        self._replica.requires_grad_(requires_grad=False)
        self._parameters = dict(self._replica.named_parameters())
        if self.tokenizer.eos_token_id is None:
            raise ConfigurationError(
                "the tokenizer has no eos_token, so embedded inference can't tell where a turn"
                " ends: set tokenizer.eos_token to the token that closes a turn"
            )
        self._takes_text = _template_takes_text(self.tokenizer)

    def init_communicator(self) -> None:
        """Nothing to connect: the weights are in this process."""

    def close_communicator(self) -> None:
        """Nothing to disconnect."""

    def reset_prefix_cache(self) -> None:
        """No cache outlives a request."""

    def get_num_background_tasks(self) -> int:
        """Weight updates are done when they return."""
        return 0

    def update_named_param(self, name: str, weights: torch.Tensor) -> None:
        """Copy one parameter of the policy into the replica."""
        try:
            target = self._parameters[name]
        except KeyError:
            raise InferenceError(
                f"the replica has no parameter {name!r}: the policy's parameters are named"
                " otherwise than its base model's, so its weights can't be copied"
            ) from None
        with self._lock, torch.no_grad():
            target.copy_(weights)

    def client(self) -> "EmbeddedClient":
        """A client for one event loop."""
        return EmbeddedClient(self)

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """Sample one completion a request; requests with like parameters share a call."""
        samples: list[Sample | None] = [None] * len(requests)
        order = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt_ids))
        by_sampling: dict[Sampling, list[int]] = {}
        for index in order:
            by_sampling.setdefault(requests[index].sampling, []).append(index)
        for sampling, indices in by_sampling.items():
            for start in range(0, len(indices), self.max_batch):
                chunk = indices[start : start + self.max_batch]
                prompts = [requests[index].prompt_ids for index in chunk]
                for index, sample in zip(chunk, self._sample(prompts, sampling), strict=True):
                    samples[index] = sample
        return [sample for sample in samples if sample is not None]

    @torch.no_grad()
    def _sample(self, prompts: list[list[int]], sampling: Sampling) -> list[Sample]:
        longest = max(len(prompt) for prompt in prompts)
        rooms = [self.max_model_len - len(prompt) for prompt in prompts]
        if sampling.max_tokens is not None:
            rooms = [min(sampling.max_tokens, room) for room in rooms]
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor(
            [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        )
        with self._lock:  # no weight changes in the middle of a sequence
            output = self._replica.generate(
                input_ids=ids.to(self._replica.device),
                attention_mask=mask.to(self._replica.device),
                generation_config=self._generation_config(sampling, max(rooms)),
                synced_gpus=False,  # each process has a whole replica, also beside sharded weights
            )
        sampled = output.sequences[:, longest:]
        # The trainer computes logprobs of logits / temperature without filters: keep the same.
        temperature = sampling.temperature or 1.0
        chosen = [
            torch.log_softmax(logits.float() / temperature, dim=-1).gather(1, sampled[:, i, None])
            for i, logits in enumerate(output.logits)
        ]
        logprobs = torch.cat(chosen, dim=1).tolist()
        return [
            self._until_eos(row[:room], row_logprobs[:room])
            for row, row_logprobs, room in zip(sampled.tolist(), logprobs, rooms, strict=True)
        ]

    def _generation_config(self, sampling: Sampling, new_tokens: int) -> GenerationConfig:
        chosen: dict[str, Any] = {"do_sample": sampling.temperature > 0}
        if sampling.temperature > 0:
            chosen |= {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k if sampling.top_k > 0 else 0,
                "min_p": sampling.min_p if sampling.min_p > 0 else None,
            }
        return GenerationConfig(
            **chosen,
            max_new_tokens=new_tokens,
            use_cache=True,  # a training configuration switches the cache off
            repetition_penalty=sampling.repetition_penalty,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_logits=True,
        )

    def _until_eos(self, ids: list[int], logprobs: list[float]) -> Sample:
        eos = self.tokenizer.eos_token_id
        stop = ids.index(eos) + 1 if eos in ids else len(ids)
        return Sample(ids=ids[:stop], logprobs=logprobs[:stop], finished=eos in ids)

    def prompt_ids(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None
    ) -> list[int]:
        """Render and tokenise a conversation, as a server does."""
        rendered = self.tokenizer.apply_chat_template(
            [_renderable(message, as_text=self._takes_text) for message in messages],
            tools=list(tools) if tools else None,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
        ids: list[int] = list(rendered)
        if len(ids) >= self.max_model_len:
            raise _overlong(len(ids), self.max_model_len)
        return ids

    async def answer(self, requests: Sequence[Request]) -> list[Sample]:
        """Generate on the engine's own thread, so that tools can go on meanwhile."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.generate, requests)


class EmbeddedClient:
    """The part of the asynchronous OpenAI client that environments call."""

    def __init__(self, engine: EmbeddedEngine) -> None:
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
        content, calls = parse_tool_calls(text) if with_tools else (text, ())
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{uuid.uuid4().hex[:12]}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in calls
            ]
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


def _renderable(message: Mapping[str, Any], *, as_text: bool) -> dict[str, Any]:
    """A message as chat templates expect it: plain dicts, and arguments as the template wants."""
    shown = dict(message)
    calls = shown.get("tool_calls")
    if calls:
        plain = [
            call if isinstance(call, Mapping) else call.model_dump(exclude_none=True)
            for call in calls
        ]
        shown["tool_calls"] = plain if as_text else [_with_parsed_arguments(call) for call in plain]
    return shown


def _with_parsed_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as an object, the way vLLM hands them to a template; text that is none stays."""
    function = dict(call["function"])
    with contextlib.suppress(TypeError, ValueError):
        function["arguments"] = json.loads(function["arguments"])
    return {**call, "function": function}


def _template_takes_text(tokenizer: Any) -> bool:
    """Whether the chat template renders arguments that are JSON text as they are.

    Then a call can be shown to the model again exactly as it wrote it; other templates quote text
    a second time and need the parsed object.
    """
    arguments = '{"a":  1}'
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    try:
        return arguments in tokenizer.apply_chat_template(messages, tokenize=False)
    except (TypeError, UndefinedError):  # the template iterates over the arguments
        return False


def _overlong(prompt_tokens: int, limit: int) -> BadRequestError:
    """The refusal that vLLM sends, which environments know how to read."""
    text = (
        f'{{"error":{{"message":"This model\'s maximum context length is {limit} tokens. However,'
        f' your prompt has {prompt_tokens} tokens.","type":"BadRequestError","code":400}}}}'
    )
    request = httpx2.Request("POST", "http://embedded/v1/chat/completions")
    response = httpx2.Response(400, text=text, request=request)
    return BadRequestError("the prompt is longer than the context", response=response, body=None)
