"""What `RecordingGRPOTrainer` relies on in TRL: an upgrade that moves it fails here first."""

import importlib.metadata
import inspect

import pytest
import torch
from trl import GRPOTrainer
from trl.trainer import grpo_trainer
from trl_trainings import exact_match, trainer

from rlvr.errors import ConfigurationError, UnsupportedLibrary
from rlvr.trainers import trl_shims
from rlvr.trainers.recording_grpo_trainer import RecordingGRPOTrainer

KNOWN = "this TRL is not one of those that are known to work: trl>=1.16,<1.17"


@pytest.mark.parametrize("name", trl_shims.PRIVATE_NAMES)
def test_every_private_method_is_where_it_was_with_its_parameters(name):
    found = trl_shims.parameters_of(inspect.getattr_static(GRPOTrainer, name, None))
    assert found == trl_shims.PRIVATE_NAMES[name], KNOWN


@pytest.mark.parametrize("name", trl_shims.ATTRIBUTES)
def test_every_attribute_is_one_of_the_trainers(name):
    assert f"self.{name} = " in inspect.getsource(GRPOTrainer), KNOWN


def test_trl_says_which_reward_functions_it_awaits():
    async def later():
        return

    assert trl_shims.is_coroutine_function(later)
    assert not trl_shims.is_coroutine_function(lambda: None)


@pytest.mark.parametrize("key", trl_shims.OUTPUT_KEYS)
def test_every_key_of_a_generation_batch_is_where_it_was(key):
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert f'"{key}": ' in source, KNOWN


def test_each_name_that_is_overridden_is_listed():
    own = {name for name in vars(RecordingGRPOTrainer) if not name.startswith("__")}
    overridden = {name for name in own & set(dir(GRPOTrainer)) if name.startswith("_")}
    assert overridden - {"_abc_impl"} <= set(trl_shims.PRIVATE_NAMES)


def test_no_attribute_of_trls_trainer_is_shadowed(tmp_path):
    ours = {"_record", "_watch", "_observed", "_told", "_components", "_record_to", "_redact"}
    shipped = trainer(tmp_path, kind=GRPOTrainer)
    assert not ours & (set(vars(shipped)) | set(dir(GRPOTrainer)))


def test_the_loop_returns_first_who_wrote_each_token():
    source = inspect.getsource(GRPOTrainer._tool_call_loop)
    assert "return tool_mask, completions, completion_ids" in source, KNOWN


def test_a_tensor_of_row_numbers_survives_shuffle_and_split():
    rows = {"ids": torch.arange(6).reshape(6, 1), "items": torch.tensor(6)}
    shuffled = grpo_trainer.shuffle_sequence_dict({**rows, "row_numbers": torch.arange(6)})
    for chunk in grpo_trainer.split_tensor_dict(shuffled, 3):
        assert torch.equal(chunk["ids"][:, 0], chunk["row_numbers"])


@pytest.mark.parametrize("installed", ["1.15.0", "1.17.0", "0.20.0"])
def test_another_trl_is_refused_with_what_to_install(monkeypatch, installed):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: installed)
    with pytest.raises(UnsupportedLibrary, match=rf"trl {installed} .*pip install 'trl.*1\.16"):
        trl_shims.check_trl()


def test_a_method_with_other_parameters_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(GRPOTrainer, "_tool_call_loop", lambda self, batch: None)
    with pytest.raises(UnsupportedLibrary, match=r"GRPOTrainer\._tool_call_loop.*pip install"):
        trl_shims.check_trl()


def test_a_batch_without_a_key_is_refused_by_name():
    with pytest.raises(UnsupportedLibrary, match="no completion_mask, advantages in"):
        trl_shims.check_output({"prompt_ids": 0, "prompt_mask": 0, "completion_ids": 0})


def test_an_outcome_that_is_no_reward_function_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"'truth', which is none of .* exact_match"):
        trainer(tmp_path, rewards=[exact_match], outcome="truth")


def test_details_of_every_zeroth_step_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="use 1 for every step"):
        trainer(tmp_path, log_token_details=True, token_details_every=0)
