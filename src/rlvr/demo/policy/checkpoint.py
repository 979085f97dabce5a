"""Saving the demo's policy, and loading the one that ships with the package."""

import copy
from importlib import resources
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError

__all__ = ["bundled_checkpoint", "load_policy", "save_policy"]

BUNDLED_NAMES = {"musique": "rlvr-demo", "math_python": "rlvr-demo-math"}
"""What a record calls each checkpoint that ships with rlvr."""


def bundled_checkpoint(name: str = "musique") -> Path:
    """The folder of a checkpoint that ships with rlvr: that of the task `name`.

    Raises ConfigurationError for an unknown name.
    """
    if name not in BUNDLED_NAMES:
        raise ConfigurationError(
            f"no checkpoint named {name!r} ships with rlvr; use one of {', '.join(BUNDLED_NAMES)}"
        )
    return Path(str(resources.files("rlvr.demo").joinpath("checkpoints", name)))


def load_policy(path: str | Path | None = None, *, name: str = "musique") -> tuple[Any, Any]:
    """(model in float32, tokenizer) from a folder, or the bundled `name` where `path` is None.

    Shows no progress bar, and leaves torch's global random state as it was.

    Raises ConfigurationError where the folder holds no checkpoint, or the name is unknown.
    """
    import torch
    from safetensors.torch import load_model
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = bundled_checkpoint(name) if path is None else Path(path)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ConfigurationError(
            f"no checkpoint in {folder}: name a folder that `python -m rlvr.demo.warm_start --out`"
            " has written, or none for the bundled one"
        )
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    load_model(model, weights)
    if path is None:
        # where the package lies is nobody's business
        model.config._name_or_path = BUNDLED_NAMES[name]
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def save_policy(model: Any, tokenizer: Any, folder: str | Path) -> None:
    """Write weights (rounded to half precision), configuration, tokenizer and template.

    `load_policy` gives the same weights back where they were rounded already.
    """
    import torch
    from safetensors.torch import save_model

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).to(torch.float16)
    save_model(half, str(target / "model.safetensors"), metadata={"format": "pt"})
    model.config.save_pretrained(target)
    tokenizer.save_pretrained(target)
