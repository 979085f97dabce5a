"""Rollouts sampled inside the training process, from a replica of the policy's weights.

The engine speaks to a trainer through the verbs of vLLM's weight sync and to an environment
through the OpenAI client's `chat.completions.create`. Sampled ids and their logprobs are kept as
sampled; tool calls are parsed from the model's own text.
"""

import asyncio
import copy
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import GenerationConfig

from rlvr.errors import ConfigurationError, InferenceError
from rlvr.inference.client import EmbeddedClient, Request, Sample, Sampling, refusal
from rlvr.inference.dialect import CallFormat, Dialect, dialect_of
from rlvr.inference.tool_calls import ParsedCall, parse_tool_calls

UNREAD = "none"
"""The tool_parser that reads no calls."""


@dataclass(slots=True)
class EmbeddedEngine:
    """An evaluation-mode replica of a causal language model that answers chat requests.

    max_model_len: longest prompt plus completion, in tokens. max_batch: rows of one generate call.
    tool_parser: how the model writes tool calls, as vLLM names it (`CallFormat`); None to take the
    format in which the chat template writes them; "none" to leave calls in the text, as a server
    with another model's parser does.
    device: where to sample; the model's if None, which is the host while FSDP has not sharded it.
    replicate: False samples from the model itself, which is put into evaluation mode: for one that
    nothing trains.

    A turn ends at the tokenizer's eos_token and at those of the model's generation_config, as with
    vLLM.

    Raises:
        ConfigurationError: the tokenizer has no eos_token, or there is no such tool_parser.
    """

    model: Any
    tokenizer: Any
    max_model_len: int
    max_batch: int = 64
    tool_parser: str | None = None
    device: Any = None
    replicate: bool = True
    _replica: Any = None
    _dialect: Dialect = field(init=False)
    _call_format: CallFormat | None = field(init=False)
    _stops: frozenset[int] = frozenset()
    _parameters: dict[str, torch.Tensor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="rlvr-embedded")
    )

    def __post_init__(self) -> None:
        base = self.model
        if not self.replicate:
            self._replica = self.model.eval()
        else:
            if hasattr(self.model, "peft_config"):
                base = self.model.get_base_model()
            self._replica = self._new_replica(base)
        self._replica.requires_grad_(requires_grad=False)
        self._parameters = dict(self._replica.named_parameters())
        if self.tokenizer.eos_token_id is None:
            raise ConfigurationError(
                "the tokenizer has no eos_token, so embedded inference can't tell where a turn"
                " ends: set tokenizer.eos_token to the token that closes a turn"
            )
        self._stops = _stops_of(self.tokenizer, base)
        self._dialect = dialect_of(self.tokenizer)
        self._call_format = self._dialect.call_format
        if self.tool_parser == UNREAD:
            self._call_format = None
        elif self.tool_parser is not None:
            self._call_format = _format_named(self.tool_parser)

    def _new_replica(self, base: Any) -> Any:
        with torch.random.fork_rng():  # building the replica must not move the run's seed
            replica = type(base)(copy.deepcopy(base.config))
        device = self.device or self.model.device
        return replica.to(device=device, dtype=self.model.dtype).eval()

    def check_tools(self) -> None:
        """Refuse to sample with tools where a dialogue with them would silently go wrong.

        Raises:
            ConfigurationError: the chat template leaves the tool schemas out of the prompt, or
                writes calls in a format that is not parsed here.
        """
        if not self._dialect.shows_tools:
            raise ConfigurationError(
                "the environment has tools, but the tokenizer's chat template leaves them out of"
                " the prompt, so the model can't know them: set tokenizer.chat_template to one that"
                " renders `tools`"
            )
        if self._call_format is None and self.tool_parser != UNREAD:
            raise ConfigurationError(
                "embedded inference can't read tool calls as the tokenizer's chat template writes"
                f" them (it knows {', '.join(CallFormat)}): sample with vLLM and the model's"
                " --tool-call-parser, or name the format with EmbeddedEngine(tool_parser=...)"
            )

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

    def client(self) -> EmbeddedClient:
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
            eos_token_id=sorted(self._stops),
            pad_token_id=self.tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_logits=True,
        )

    def _until_eos(self, ids: list[int], logprobs: list[float]) -> Sample:
        ends = [place + 1 for place, token in enumerate(ids) if token in self._stops]
        stop = ends[0] if ends else len(ids)
        return Sample(ids=ids[:stop], logprobs=logprobs[:stop], finished=bool(ends))

    def prompt_ids(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None
    ) -> list[int]:
        """Render and tokenise a conversation, as a server does.

        Raises:
            openai.BadRequestError: the template refuses the conversation, or it is too long.
        """
        if tools:
            self.check_tools()
        try:
            prompt = self._dialect.prompt(self.tokenizer, messages, tools)
        except (TypeError, TemplateError) as error:
            raise refusal(f"the chat template refuses this conversation: {error}") from error
        ids: list[int] = self.tokenizer.encode(prompt, add_special_tokens=False)
        if len(ids) >= self.max_model_len:
            raise refusal(
                f"This model's maximum context length is {self.max_model_len} tokens. However,"
                f" your prompt has {len(ids)} tokens."
            )
        return ids

    def message(self, text: str, *, with_tools: bool) -> dict[str, Any]:
        """The assistant's message that a sampled text stands for, tool calls taken out of it."""
        content: str = text
        calls: tuple[ParsedCall, ...] = ()
        if with_tools and self._call_format is not None:
            content, calls = parse_tool_calls(text, self._call_format)
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
        return message

    async def answer(self, requests: Sequence[Request]) -> list[Sample]:
        """Generate on the engine's own thread, so that tools can go on meanwhile."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.generate, requests)


def _stops_of(tokenizer: Any, model: Any) -> frozenset[int]:
    """The ids that end a turn: the tokenizer's, and those of the model's generation_config."""
    configured = model.generation_config.eos_token_id
    more = configured if isinstance(configured, list) else [configured]
    return frozenset(id for id in [tokenizer.eos_token_id, *more] if id is not None)


def _format_named(name: str) -> CallFormat:
    try:
        return CallFormat(name)
    except ValueError:
        known = ", ".join((*CallFormat, UNREAD))
        raise ConfigurationError(
            f"embedded inference has no tool_parser {name!r}: it has {known}"
        ) from None
