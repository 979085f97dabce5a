"""What the trainer's forward before the update said of each sequence of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from trl.trainer.utils import entropy_from_logits

from rlvr.capture.evidence import Forward
from rlvr.capture.sequences import TokenRow


class EntropyTap:
    """Stands in for a model in one forward and keeps the entropy of its predictions, in nats."""

    def __init__(self, model: Any, temperature: float) -> None:
        self._model = model
        self._temperature = temperature
        self.entropies: list[torch.Tensor] = []

    def __call__(self, **inputs: Any) -> Any:
        """Run the model; its last position predicts a token beyond the sequence."""
        output = self._model(**inputs)
        self.entropies.append(entropy_from_logits(output.logits[:, :-1] / self._temperature))
        return output


@dataclass(slots=True, kw_only=True)
class PendingBatch:
    """A batch whose advantages are known and whose sequences are being run.

    advantages: (rollouts of the whole batch,). The forward covers this process's sequences.
    """

    advantages: torch.Tensor
    _ids: Any = field(default=None, init=False)
    _attended: Any = field(default=None, init=False)
    _logprobs: Any = field(default=None, init=False)
    _entropy: Any = field(default=None, init=False)

    def add_forward(
        self,
        ids: torch.Tensor,
        attended: torch.Tensor,
        logprobs: torch.Tensor,
        entropies: Sequence[torch.Tensor],
    ) -> None:
        """Keep a forward on the host. Shapes (N, L) twice, (N, L - 1), chunks of (N, L - 1)."""
        self._ids = ids.cpu().numpy()
        self._attended = attended.to("cpu", torch.int8).numpy()
        self._logprobs = logprobs.detach().float().cpu().numpy()
        self._entropy = torch.cat([chunk.float().cpu() for chunk in entropies]).numpy()

    def forwards_of(self, rows: Sequence[Sequence[TokenRow]]) -> list[list[Forward | None]]:
        """The forward of each rollout's sequence, None where the trainer cut it otherwise.

        `rows` has one list of one sequence for each row of the forward, in its order.
        """
        return [[self._forward(number, row) for row in own] for number, own in enumerate(rows)]

    def _forward(self, number: int, row: TokenRow) -> Forward | None:
        length = len(row.ids)
        if self._ids is None or self._ids[number, :length].tolist() != row.ids:
            return None
        first = np.full(1, np.nan, dtype=np.float32)
        return Forward(
            attended=self._attended[number, :length],
            logprobs=np.concatenate([first, self._logprobs[number, : length - 1]]),
            entropy=np.concatenate([first, self._entropy[number, : length - 1]]),
        )


def padded_rows(
    rows: Sequence[TokenRow],
    *,
    pad_token_id: int,
    device: torch.device,
    length: int,
    count: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and loss masks of sequences, right-padded; rows of padding up to `count` rows.

    Returns two tensors of shape (max(len(rows), count), length).
    """
    height = max(len(rows), count)
    ids = torch.full((height, length), pad_token_id, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = torch.tensor(row.ids, device=device)
        mask[number, : len(row.ids)] = torch.tensor(row.loss_mask, device=device)
    return ids, mask


def with_rows(
    chunks: Sequence[dict[str, torch.Tensor]],
    rows: Sequence[dict[str, torch.Tensor]],
    *,
    pad_token_id: int,
) -> list[dict[str, torch.Tensor]]:
    """The micro-batches of a step with further sequences dealt out among them."""
    grown = list(chunks)
    for number, row in enumerate(rows):
        place = number % len(grown)
        grown[place] = _with_row(grown[place], row, pad_token_id=pad_token_id)
    return grown


def _with_row(
    chunk: dict[str, torch.Tensor], row: dict[str, torch.Tensor], *, pad_token_id: int
) -> dict[str, torch.Tensor]:
    """A micro-batch with one more sequence, everything right-padded to the longer of the two."""
    grown = {}
    for name, tensor in chunk.items():
        added = row[name].unsqueeze(0)
        padding = pad_token_id if name == "input_ids" else 0
        parts = [tensor, added]
        if tensor.dim() > 1:
            width = max(part.shape[1] for part in parts)
            parts = [
                torch.nn.functional.pad(part, (0, width - part.shape[1]), value=padding)
                for part in parts
            ]
        grown[name] = torch.cat(parts)
    return grown
