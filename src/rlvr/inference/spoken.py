"""A fake engine for tests: embedded inference that says what a function tells it to say.

Everything but the sampling is the embedded engine's own: rendering, token ids, tool calls, weight
updates. So a whole training can be run on rollouts that are known beforehand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rlvr.inference.client import Request, Sample
from rlvr.inference.embedded import EmbeddedEngine

__all__ = ["SpokenEngine"]


@dataclass(slots=True, kw_only=True)
class SpokenEngine(EmbeddedEngine):
    """Answers each request with the text that `say` gives for the rendered prompt.

    `logprob` (nats) is claimed for every token; None: what the replica gives it. A text longer than
    the request's limit is cut. `splits_thinking`: what stands in `<think>` tags leaves the content
    for `reasoning_content`, as a server with a reasoning parser has it.
    """

    say: Callable[[str], str]
    logprob: float | None = -1.0
    splits_thinking: bool = False

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """One answer a request, in order."""
        return [self._spoken(request) for request in requests]

    def message(self, text: str, *, with_tools: bool) -> dict[str, Any]:
        """As the engine makes it, thinking apart where that is asked for."""
        thinking, closed, rest = text.partition("</think>")
        if not (self.splits_thinking and closed):
            return EmbeddedEngine.message(self, text, with_tools=with_tools)
        message = EmbeddedEngine.message(self, rest.lstrip("\n"), with_tools=with_tools)
        return {**message, "reasoning_content": thinking.partition("<think>")[2]}

    def _spoken(self, request: Request) -> Sample:
        text = self.say(self.tokenizer.decode(request.prompt_ids))
        spoken = self.tokenizer.encode(text, add_special_tokens=False)
        ids = [*spoken, self.tokenizer.eos_token_id]
        limit = request.sampling.max_tokens or self.max_model_len
        kept = ids[: min(limit, self.max_model_len - len(request.prompt_ids))]
        return Sample(
            ids=kept,
            logprobs=self._logprobs(request, kept),
            finished=len(kept) == len(ids),
        )

    @torch.no_grad()
    def _logprobs(self, request: Request, ids: list[int]) -> list[float]:
        if self.logprob is not None:
            return [self.logprob] * len(ids)
        given = torch.tensor([[*request.prompt_ids, *ids]], device=self._replica.device)
        with self._lock:
            logits = self._replica(given).logits[0, len(request.prompt_ids) - 1 : -1].float()
        scores = torch.log_softmax(logits / (request.sampling.temperature or 1.0), dim=-1)
        chosen: list[float] = scores.gather(1, given[0, len(request.prompt_ids) :, None])[
            :, 0
        ].tolist()
        return chosen
