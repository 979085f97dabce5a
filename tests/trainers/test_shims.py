"""What the trainer relies on in other libraries: an upgrade that moves it fails here first."""

import importlib
import importlib.metadata
import inspect
import sys

import pytest

from rlvr.errors import ConfigurationError, MissingDependency, UnsupportedLibrary
from rlvr.trainers import shims

PARAMETERS = {
    "_prepare_inputs": ["self", "inputs"],
    "_compute_advantages": ["self", "rewards"],
    "_get_per_token_logps": [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size",
    ],
    "_get_train_sampler": ["self", "train_dataset"],
    "_get_model_name": ["self"],
    "_get_sampling_args": ["self"],
    "_inner_training_loop": ["self", "args", "kwargs"],
    "_move_model_to_vllm": ["self"],
    "_generation_worker": ["self"],
    "_generate_batch_async": ["self", "request"],
    "skip_first_batches": ["dataloader", "num_batches"],
    "timeout": ["timeout_seconds"],
}  # fmt: skip


def find(name):
    """The object of a dotted name: a module, then attributes."""
    parts = name.split(".")
    for stop in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:stop]))
        except ModuleNotFoundError:
            continue
        for part in parts[stop:]:
            found = inspect.getattr_static(found, part)
        return found
    raise AssertionError(f"no module in {name}")


@pytest.mark.parametrize("name", shims.PRIVATE_NAMES)
def test_every_private_name_is_where_it_was(name):
    found = find(name)
    assert callable(found) or isinstance(found, property)
    expected = PARAMETERS.get(name.rpartition(".")[2])
    if expected is not None:
        assert list(inspect.signature(found).parameters) == expected


def test_each_name_that_is_overridden_is_listed():
    from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer, GRPOTrainer

    shared = {name for name in vars(EnhancedGRPOTrainer) if name.startswith("_")} & set(
        dir(GRPOTrainer)
    )
    overridden = {name for name in shared if not name.startswith("__")}
    listed = {name.rpartition(".")[2] for name in shims.PRIVATE_NAMES}
    # What every class has is no private name of the library.
    assert {name for name in overridden if callable(getattr(GRPOTrainer, name))} <= listed


@pytest.mark.parametrize("installed", ["0.1.4", "0.1.7", "0.4.0"])
def test_another_verifiers_is_refused_with_what_to_install(monkeypatch, installed):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: installed)
    with pytest.raises(UnsupportedLibrary, match=f"verifiers {installed} .*pip install"):
        shims.check_verifiers()


@pytest.mark.parametrize("installed", ["0.1.5.post0", "0.1.6", "0.1.6.post0"])
def test_the_verifiers_that_are_known_are_accepted(monkeypatch, installed):
    asked = []
    monkeypatch.setattr(importlib.metadata, "version", lambda name: asked.append(name) or installed)
    shims.check_verifiers()
    assert asked == ["verifiers"]


def test_without_vllm_its_client_is_refused_with_the_alternative(tmp_path):
    from trainings import trainer

    with pytest.raises(MissingDependency, match="--inference embedded"):
        trainer(tmp_path, inference="vllm")


def test_an_unknown_inference_is_refused(tmp_path):
    from trainings import trainer

    with pytest.raises(ConfigurationError, match="'sglang'"):
        trainer(tmp_path, inference="sglang")


def test_the_client_of_vllm_is_replaced_only_while_it_is_constructed():
    name = "verifiers.inference.vllm_client"
    with shims.vllm_client_of(lambda: "engine"):
        client = importlib.import_module(name).VLLMClient(host="h", port=1, connection_timeout=1)
        assert client == "engine"
    assert name not in sys.modules
