"""The model that is trained: its weights, its tokenizer, its adapters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from rlvr.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """Low-rank adapters instead of all weights."""

    lora: Annotated[bool, Option(help="Train adapters of low rank only.")] = False
    lora_r: Annotated[int, Option(min=1, help="Rank of the adapters.")] = 16
    lora_alpha: Annotated[int, Option(min=1, help="Scale of the adapters.")] = 32
    lora_targets: Annotated[
        str, Option(help="Layers with adapters, joined by commas, or all-linear.")
    ] = "all-linear"

    def config(self) -> Any:
        """peft's configuration; None where all weights are trained."""
        if not self.lora:
            return None
        from peft import LoraConfig

        names = [name.strip() for name in self.lora_targets.split(",")]
        return LoraConfig(
            r=self.lora_r,
            lora_alpha=self.lora_alpha,
            target_modules=names if names != ["all-linear"] else "all-linear",
            task_type="CAUSAL_LM",
        )


def load_policy(model: str | Path, *, half: bool) -> tuple[Any, Any]:
    """(model, tokenizer) of a hub id or a local folder.

    Under DeepSpeed call it after the training configuration was made: then transformers loads
    each process's shard only.

    Args:
        model: hub id or folder.
        half: weights in bfloat16, otherwise in float32. An optimizer that updates bfloat16 weights
            directly loses updates as small as GRPO's, so it is meant for frozen weights (LoRA) and
            for DeepSpeed, which keeps a float32 copy.

    Raises:
        ConfigurationError: it can't be loaded, or has no chat template.
    """
    import torch
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if half else torch.float32
    tokenizer = load_tokenizer(model)
    try:
        policy = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, use_cache=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(_unloadable(model, error)) from error
    return policy, tokenizer


def load_tokenizer(model: str | Path) -> Any:
    """The tokenizer of a hub id or a local folder.

    Raises:
        ConfigurationError: it can't be loaded, or has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ConfigurationError(_unloadable(model, error)) from error
    if not tokenizer.chat_template:
        raise ConfigurationError(
            f"the tokenizer of {model} has no chat template, which dialogues with tools need: take"
            " the model's instruct variant"
        )
    return tokenizer


def _unloadable(model: str | Path, error: Exception) -> str:
    reason = " ".join(str(error).split())
    if Path(model).exists():
        return f"the folder {model} holds no model that transformers can load: {reason}"
    return (
        f"the model {model} can't be loaded: {reason}\nCheck its spelling and the connection to the"
        " hub (`hf auth login` for a gated model), name a local folder, or train the bundled demo"
        " policy: --model demo"
    )
