"""Whole weights of a model that FSDP2 has sharded, for the sampler that is to have them."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributed.tensor import DTensor

_WRAPPERS = ("_checkpoint_wrapped_module.", "_orig_mod.")


def parameter_count(model: Any) -> int:
    """Numbers in a model's weights, also where this process holds a part of them only."""
    # DeepSpeed empties the tensors that it shards, and keeps their size beside them.
    return sum(getattr(p, "ds_numel", p.numel()) for p in model.parameters())


def whole_named_parameters(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and whole values of each parameter, one gathered at a time.

    A collective where weights are sharded by FSDP2: every process must go through all of them.
    """
    for name, parameter in type(model).named_parameters(model):
        for wrapper in _WRAPPERS:
            name = name.replace(wrapper, "")  # noqa: PLW2901
        values = parameter.detach()
        yield name, values.full_tensor() if isinstance(values, DTensor) else values


@contextmanager
def whole_weights(model: Any) -> Iterator[None]:
    """Let `model.named_parameters()` give whole weights, on every process that goes through it.

    verifiers' weight sync does, and hands what it gets to the sampler on the main process.
    """
    model.named_parameters = functools.partial(whole_named_parameters, model)
    model.parameters = lambda: iter(())  # what the sync would gather with ZeRO-3, all at once
    try:
        yield
    finally:
        del model.named_parameters, model.parameters
