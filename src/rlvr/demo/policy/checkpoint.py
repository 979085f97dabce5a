"""Saving the demo's policy, and loading the one that ships with the package."""

from importlib import resources
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError

__all__ = ["bundled_checkpoint", "load_policy", "save_policy"]


def bundled_checkpoint() -> Path:
    """The folder of the checkpoint that ships with rlvr."""
    return Path(str(resources.files("rlvr.demo").joinpath("checkpoint")))


def load_policy(path: str | Path | None = None) -> tuple[Any, Any]:
    """(model in float32, tokenizer) from a folder, the bundled checkpoint where `path` is None.

    Raises ConfigurationError where the folder holds no checkpoint.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = bundled_checkpoint() if path is None else Path(path)
    if not (folder / "model.safetensors").is_file():
        raise ConfigurationError(
            f"no checkpoint in {folder}: name a folder that `python -m rlvr.demo.warm_start --out`"
            " has written, or none for the bundled one"
        )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", local_files_only=True)
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def save_policy(model: Any, tokenizer: Any, folder: str | Path) -> None:
    """Write weights (as half-precision floats), configuration, tokenizer and template."""
    import copy

    import torch

    copy.deepcopy(model).to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
