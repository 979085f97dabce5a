"""What TRL's loss computed of a micro-batch, in the form that `updates` takes."""

from collections.abc import Mapping
from typing import Any

import torch

from rlvr.trainers.updates import ROW_NUMBERS


def loss_mask(inputs: Mapping[str, Any]) -> torch.Tensor:
    """Which tokens of the completions have a loss. Shape (rows, completion length)."""
    mask: torch.Tensor = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask


def as_update(
    trainer: Any, inputs: Mapping[str, Any], logprobs: torch.Tensor
) -> tuple[Mapping[str, torch.Tensor], list[torch.Tensor]]:
    """A micro-batch and its logprobs: the policy's, then the reference's if there is one.

    Sequences are completions here, behind one token that nothing predicts. Where TRL's ratio is
    that of a whole sequence, each of its tokens has it.
    """
    mask = loss_mask(inputs)
    policy = logprobs.detach()
    old = inputs.get("old_per_token_logps")
    ratio = policy - (policy if old is None else old)
    if trainer.importance_sampling_level == "sequence":
        ratio = ((ratio * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).unsqueeze(-1)
    update = {
        "attention_mask": torch.nn.functional.pad(mask, (1, 0)),
        "advantages": inputs["advantages"],
        "old_per_token_logps": policy - ratio,
        ROW_NUMBERS: inputs[ROW_NUMBERS],
    }
    reference = inputs.get("ref_per_token_logps")
    return update, [policy] if reference is None else [policy, reference]
