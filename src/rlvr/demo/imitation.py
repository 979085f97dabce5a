"""Learning from demonstrations: the loss counts the tokens that the policy writes itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Encoded", "Imitator", "encode"]

_SMOOTHING = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A dialogue in tokens; `sampled` marks those that the policy writes."""

    ids: list[int]
    sampled: list[bool]


def encode(
    tokenizer: Any, messages: Sequence[dict[str, Any]], *, tool: Mapping[str, Any]
) -> Encoded:
    """Tokenise a dialogue, with the tool's schema in its prompt."""
    text = tokenizer.apply_chat_template(messages, tools=[dict(tool)], tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    header = tokenizer("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    sampled, speaking = [], False
    for place, token in enumerate(ids):
        sampled.append(speaking)
        if token == tokenizer.eos_token_id:
            speaking = False
        elif ids[max(place + 1 - len(header), 0) : place + 1] == header:
            speaking = True
    return Encoded(ids=ids, sampled=sampled)


class Imitator:
    """Trains a model on encoded dialogues with AdamW, `batch` dialogues a step."""

    def __init__(self, model: Any, *, pad_token_id: int, batch: int) -> None:
        import torch

        self.model = model
        self._pad = pad_token_id
        self._batch = batch
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.01
        )

    def learn(
        self, dialogues: Sequence[Encoded], *, steps: int, rate: Callable[[int], float]
    ) -> Iterator[tuple[int, float]]:
        """Take up to `steps` steps, in the dialogues' order and round again.

        Yields (steps done, running mean of the loss in nats a token); `rate` gives the learning
        rate of a step, from 0.
        """
        mean = float("nan")
        for step in range(steps):
            start = step * self._batch
            chosen = [dialogues[(start + i) % len(dialogues)] for i in range(self._batch)]
            loss = self._step(chosen, rate(step))
            mean = loss if step == 0 else _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            yield step + 1, mean

    def _step(self, dialogues: Sequence[Encoded], rate: float) -> float:
        import torch

        ids, sampled = self._padded(dialogues)
        hidden = self.model.model(input_ids=ids).last_hidden_state[:, :-1]
        # Logits of the sampled tokens only: the others would take most of the time.
        logits = self.model.lm_head(hidden[sampled[:, 1:]])
        loss = torch.nn.functional.cross_entropy(logits, ids[:, 1:][sampled[:, 1:]])
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        return loss.item()

    def _padded(self, dialogues: Sequence[Encoded]) -> tuple[Any, Any]:
        """Token ids and the mask of sampled ones, [batch, longest], padded on the right."""
        import torch

        longest = max(len(dialogue.ids) for dialogue in dialogues)
        ids = torch.full((len(dialogues), longest), self._pad)
        sampled = torch.zeros((len(dialogues), longest), dtype=torch.bool)
        for row, dialogue in enumerate(dialogues):
            ids[row, : len(dialogue.ids)] = torch.tensor(dialogue.ids)
            sampled[row, : len(dialogue.ids)] = torch.tensor(dialogue.sampled)
        return ids, sampled
