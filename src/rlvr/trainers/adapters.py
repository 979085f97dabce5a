"""A LoRA adapter as it stands in a trainer: its tensors whole, and its configuration."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch

from rlvr.errors import ConfigurationError

_POLL_S = 0.1


def check_adapter(model: Any) -> None:
    """The policy must be a base model with one LoRA adapter that a server can apply.

    Raises:
        ConfigurationError: it is not.
    """
    configs = getattr(model, "peft_config", None)
    if not configs:
        raise ConfigurationError(
            "weight_sync='adapter' sends a LoRA adapter, and the policy has none: give peft_config"
            " (--lora), or send all weights with weight_sync='files'"
        )
    config = configs[model.active_adapter]
    unsupported = [
        name for name in ("use_dora", "modules_to_save") if getattr(config, name, None)
    ] + (["bias"] if getattr(config, "bias", "none") != "none" else [])
    if unsupported:
        raise ConfigurationError(
            f"a vLLM server can't apply an adapter with {', '.join(unsupported)}: leave it out, or"
            " send the merged weights with weight_sync='files'"
        )


def check_tied_embeddings(model: Any) -> None:
    """Adapters of tied embeddings never reach a sampler as they are trained.

    Training adapts one end of the shared weight, the input or the output; a sampler that is given
    the merged weight uses it for both.

    Raises:
        ConfigurationError: the policy has such an adapter.
    """
    if not getattr(model, "peft_config", None):
        return
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    base = model.get_base_model()
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    adapted = any(isinstance(end, BaseTunerLayer | AuxiliaryTrainingWrapper) for end in ends)
    if adapted and base.config.tie_word_embeddings:
        raise ConfigurationError(
            "the policy's input and output embeddings are one weight (tie_word_embeddings), so an"
            " adapter of either can't be merged for the sampler: leave embed_tokens and lm_head out"
            " of target_modules and modules_to_save"
        )


@contextlib.contextmanager
def frozen_weights_restored(model: Any, kept: dict[str, torch.Tensor]) -> Iterator[None]:
    """Give the frozen weights below an adapter their bits back after it was merged and taken out.

    In 16 bits a sum minus what was added is not what it was. `kept` holds copies on the host, which
    are made when first needed: frozen weights never change. Weights in float32 lose less than 1e-5
    in a thousand syncs, and are left alone.
    """
    halves = {
        name: weight
        for name, weight in model.named_parameters()
        if ".base_layer." in name and not weight.requires_grad and weight.element_size() == 2
    }
    for name, weight in halves.items():
        if name not in kept:
            kept[name] = weight.detach().to("cpu", copy=True)
    yield
    with torch.no_grad():
        for name, weight in halves.items():
            weight.copy_(kept[name])


def send_adapter(trainer: Any) -> None:
    """Hand the sampler the policy's adapter. Every process calls it; the main one sends.

    Raises:
        InferenceError: the sampler does not take it.
    """
    _wait_until_generated(trainer)
    tensors, config = adapter_of(trainer)
    if trainer.accelerator.is_main_process:
        trainer.vllm_client.update_adapter(tensors, config)
    trainer.accelerator.wait_for_everyone()


def adapter_of(trainer: Any) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(tensors by peft's names, peft's configuration as JSON). Every process calls it.

    Under ZeRO-3 the tensors are gathered from all processes, and copied.
    """
    from peft import get_peft_model_state_dict

    model = trainer.model
    with _gathered(trainer):
        named = get_peft_model_state_dict(model, save_embedding_layers=False)
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in named.items()}
    config = model.peft_config[model.active_adapter].to_dict()
    plain = {
        name: sorted(value) if isinstance(value, set) else value for name, value in config.items()
    }
    return tensors, plain | {"inference_mode": True}


def _gathered(trainer: Any) -> Any:
    plugin = trainer.accelerator.state.deepspeed_plugin
    if plugin is None or plugin.zero_stage != 3:
        return contextlib.nullcontext()
    import deepspeed

    trained = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    return deepspeed.zero.GatheredParameters(trained)


def _wait_until_generated(trainer: Any) -> None:
    """Wait, in every process, until no batch is being generated."""
    from accelerate.utils import broadcast_object_list

    while True:
        generating = [trainer.async_generator.is_generating]
        broadcast_object_list(generating, from_process=0)
        if not generating[0]:
            break
        time.sleep(_POLL_S)
    trainer.accelerator.wait_for_everyone()
