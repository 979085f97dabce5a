"""A sampler that goes wrong: the embedded engine, with faults between it and the trainer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.diagnosis.real.injections import Clock, Switch

from rlvr.inference.client import Request, Sample
from rlvr.inference.embedded import EmbeddedEngine

__all__ = ["CUT_TOKENS", "SAMPLING", "TEMPERATURE", "FaultyEngine", "without_thinking"]

CUT_TOKENS = 12
TEMPERATURE = 0.05
SAMPLING = ("token_limit", "unparsed_calls", "history_rewritten", "frozen_sync", "too_cold")
"""The faults of the sampler, by name."""
_THINKING = re.compile(r"<think>.*?</think>\n*", re.DOTALL)


class FaultyEngine(EmbeddedEngine):
    """The embedded engine with the faults of SAMPLING that `switches` has."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_model_len: int,
        switches: Mapping[str, Switch],
        clock: Clock,
    ) -> None:
        super().__init__(model, tokenizer, max_model_len=max_model_len)
        self._switches = switches
        self._clock = clock

    def _hits_next(self, fault: str) -> bool:
        return fault in self._switches and self._switches[fault].hits_next()

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """As the engine does, some requests with another limit or temperature."""
        return super().generate([self._mangled(request) for request in requests])

    def _mangled(self, request: Request) -> Request:
        sampling = request.sampling
        if self._hits_next("token_limit"):
            sampling = replace(sampling, max_tokens=CUT_TOKENS)
        if self._hits_next("too_cold"):
            sampling = replace(sampling, temperature=TEMPERATURE)
        return replace(request, sampling=sampling)

    def message(self, text: str, *, with_tools: bool) -> dict[str, Any]:
        """As the engine does, some calls left in the text."""
        unparsed = self._hits_next("unparsed_calls")
        return super().message(text, with_tools=with_tools and not unparsed)

    def prompt_ids(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None
    ) -> list[int]:
        """As the engine does, some histories without their thinking."""
        if self._hits_next("history_rewritten"):
            messages = [without_thinking(message) for message in messages]
        return super().prompt_ids(messages, tools)

    def update_named_param(self, name: str, weights: Any) -> None:
        """As the engine does, but that the weights of some steps never arrive."""
        frozen = self._switches.get("frozen_sync")
        if frozen is None or self._clock() == 0 or not frozen.hits("sync"):
            super().update_named_param(name, weights)


def without_thinking(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """An assistant's message as templates render it that drop earlier thinking."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, str):
        return message
    return {**message, "content": _THINKING.sub("", content)}
