"""A fake engine for tests: embedded inference that says what a function tells it to say.

Everything but the sampling is the embedded engine's own: rendering, token ids, tool calls, weight
updates. So a whole training can be run on rollouts that are known beforehand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlvr.inference.client import Request, Sample
from rlvr.inference.embedded import EmbeddedEngine

__all__ = ["SpokenEngine"]


@dataclass(slots=True, kw_only=True)
class SpokenEngine(EmbeddedEngine):
    """Answers each request with the text that `say` gives for the rendered prompt.

    `logprob` (nats) is claimed for every token. A text longer than the request's limit is cut.
    """

    say: Callable[[str], str]
    logprob: float = -1.0

    def generate(self, requests: Sequence[Request]) -> list[Sample]:
        """One answer a request, in order."""
        return [self._spoken(request) for request in requests]

    def _spoken(self, request: Request) -> Sample:
        text = self.say(self.tokenizer.decode(request.prompt_ids))
        ids = [*self.tokenizer.encode(text), self.tokenizer.eos_token_id]
        limit = request.sampling.max_tokens or self.max_model_len
        kept = ids[: min(limit, self.max_model_len - len(request.prompt_ids))]
        return Sample(ids=kept, logprobs=[self.logprob] * len(kept), finished=len(kept) == len(ids))
