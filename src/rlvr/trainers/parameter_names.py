"""What a policy's parameters are called: in the trainer, and in its checkpoint."""

import json
from pathlib import Path
from typing import Any

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


def sent_names(model: Any) -> frozenset[str]:
    """Names under which verifiers' weight sync sends the parameters, adapters merged."""
    if not hasattr(model, "peft_config"):
        return frozenset(name for name, _ in model.named_parameters())
    names = set()
    for full, _ in model.named_parameters():
        name = full.removeprefix("base_model.model.").replace(".base_layer", "")
        if model.prefix not in name and "original_module" not in name:
            names.add(name.replace("modules_to_save.default.", ""))
    return frozenset(names)


def tied_names(model: Any) -> dict[str, str]:
    """Further names of shared parameters, each with the name under which it is sent."""
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    first = {id(parameter): name for name, parameter in base.named_parameters()}
    return {
        name: first[id(parameter)].replace(".base_layer", "")
        for name, parameter in base.named_parameters(remove_duplicate=False)
        if first[id(parameter)] != name
    }


def checkpoint_names(model: str) -> frozenset[str] | None:
    """Names of the tensors in a model's checkpoint; None where no safetensors lie on this machine.

    model: a local folder or a hub id.
    """
    index = _local_file(model, _INDEX)
    if index is not None:
        return frozenset(json.loads(index.read_text())["weight_map"])
    single = _local_file(model, _SINGLE)
    if single is None:
        return None
    from safetensors import safe_open

    with safe_open(single, framework="pt") as tensors:
        return frozenset(tensors.keys())


def _local_file(model: str, name: str) -> Path | None:
    if Path(model).is_dir():
        path = Path(model) / name
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(model, name)
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None
