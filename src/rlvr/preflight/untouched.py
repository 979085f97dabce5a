"""What a preflight puts back, so that the training after it is the one without it."""

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


@contextlib.contextmanager
def untouched(trainer: Any) -> Iterator[None]:
    """Put the trainer's attributes, weights, module modes and the random states back at the end.

    What the environment, its tools and its rubric keep for themselves is theirs.
    """
    attributes = dict(vars(trainer))
    modes = [(module, module.training) for module in trainer.model.modules()]
    merged = _weights_that_merging_moves(trainer.model)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    for name in ("_metrics", "_textual_logs", "state"):
        setattr(trainer, name, copy.deepcopy(attributes[name]))
    try:
        with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
            yield
    finally:
        vars(trainer).clear()
        vars(trainer).update(attributes)
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for parameter, kept in merged:
                parameter.copy_(kept)
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _weights_that_merging_moves(model: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Copies, in main memory, of what a weight sync of LoRA changes by rounding."""
    if not hasattr(model, "peft_config"):
        return []
    return [
        (parameter, parameter.detach().to("cpu", copy=True))
        for name, parameter in model.named_parameters()
        if ".base_layer." in name
    ]


@contextlib.contextmanager
def changed(parameter: torch.Tensor) -> Iterator[torch.Tensor]:
    """The parameter's values as they are now; bit for bit the same again at the end."""
    kept = parameter.detach().clone()
    try:
        yield kept
    finally:
        with torch.no_grad():
            parameter.copy_(kept)
