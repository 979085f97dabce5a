"""What `RecordingGRPOTrainer` relies on in TRL, in one place.

Every private name of TRL's trainer that is overridden or read is in `PRIVATE_NAMES`, with its
parameters where it is a method. They are looked up when a trainer is made, and by a contract test,
so that an upgrade which moves one fails there, with the versions that are known to work.
"""

import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from packaging.specifiers import SpecifierSet

from rlvr.errors import UnsupportedLibrary

TRL = SpecifierSet(">=1.16,<1.17")

PRIVATE_NAMES: Mapping[str, tuple[str, ...]] = {
    "_inner_training_loop": (
        "self", "batch_size", "args", "resume_from_checkpoint", "trial", "ignore_keys_for_eval",
    ),
    "_generate_and_score_completions": ("self", "inputs"),
    "_generate_single_turn": (
        "self", "prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images",
    ),
    "_tool_call_loop": (
        "self", "prompts", "prompt_ids", "completion_ids", "completions", "logprobs", "images",
        "multimodal_fields",
    ),
    "_calculate_rewards": ("self", "inputs", "prompts", "completions", "completion_ids_list"),
    "_compute_loss": ("self", "model", "inputs"),
    "_get_per_token_logps_and_entropies": (
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size",
        "compute_entropy", "compute_aux_loss", "pixel_values", "image_grid_thw", "num_images",
        "pixel_attention_mask", "spatial_shapes", "num_tiles", "image_sizes", "token_type_ids",
        "mm_token_type_ids", "image_position_ids",
    ),
}  # fmt: skip
"""Methods that are overridden, and their parameters."""

ATTRIBUTES = (
    "_async_tool_dicts",
    "_environment_pool",
    "_last_loaded_step",
    "_sync_tool_dicts",
    "_tokenizer",
    "chat_template",
    "environment_factories",
    "eos_token_ids",
    "epsilon_high",
    "epsilon_low",
    "importance_sampling_level",
    "loss_type",
    "max_tool_calling_iterations",
    "multi_objective_aggregation",
    "num_generations",
    "num_generations_eval",
    "reward_func_names",
    "reward_funcs",
    "reward_weights",
    "rollout_func",
    "scale_rewards",
    "tools",
    "use_vllm",
    "vllm_mode",
)
"""Attributes that are read. Those with tools and reward functions are exchanged, for as long as
TRL's loop or its scoring runs."""

OUTPUT_KEYS = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages")
"""What every generation batch holds; `tool_mask`, `old_per_token_logps`, `ref_per_token_logps` and
`sampling_per_token_logps` are there in some settings only."""


def check_trl() -> None:
    """Refuse a TRL whose trainer is not the one that is subclassed here.

    Raises:
        UnsupportedLibrary: another version is installed, or a method is not what it was.
    """
    installed = importlib.metadata.version("trl")
    if not TRL.contains(installed, prereleases=True):
        raise UnsupportedLibrary(_refusal(installed, f"subclasses the trainer of trl {TRL}"))
    from trl import GRPOTrainer

    for name, parameters in PRIVATE_NAMES.items():
        if parameters_of(inspect.getattr_static(GRPOTrainer, name, None)) != parameters:
            raise UnsupportedLibrary(_refusal(installed, f"knows another GRPOTrainer.{name}"))


def check_output(output: Mapping[str, Any]) -> None:
    """Refuse a generation batch without what is recorded of it.

    Raises:
        UnsupportedLibrary: a key is missing.
    """
    missing = [key for key in OUTPUT_KEYS if key not in output]
    if missing:
        lacks = f"finds no {', '.join(missing)} in what GRPOTrainer generates"
        raise UnsupportedLibrary(_refusal(importlib.metadata.version("trl"), lacks))


def parameters_of(method: Any) -> tuple[str, ...]:
    """The names of a method's parameters; none of what can't be called."""
    return tuple(inspect.signature(method).parameters) if callable(method) else ()


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether TRL awaits a reward function."""
    from trl.trainer.utils import is_async_callable

    return bool(is_async_callable(function))


def _refusal(installed: str, why: str) -> str:
    return (
        f"trl {installed} is installed, but RecordingGRPOTrainer {why}: pip install 'trl{TRL}', or"
        " train with trl.GRPOTrainer, unrecorded"
    )
