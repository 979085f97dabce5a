"""LoRA with embedded inference: the merged weights reach the sampler, and come out as they were."""

import warnings

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback

import rlvr
from rlvr.diagnosis import diagnose_run
from rlvr.errors import ConfigurationError
from trainings import echo_environment, tiny_policy, trainer

pytestmark = pytest.mark.train
LAYER = "model.layers.0.self_attn.q_proj.weight"


def lora(**options):
    chosen = {"r": 4, "lora_alpha": 64, "target_modules": ["q_proj", "v_proj", "down_proj"]}
    return LoraConfig(**(chosen | options), task_type="CAUSAL_LM")


def spread(completion):
    return float(sum(map(ord, completion[-1]["content"])) % 7)


class Kept(TrainerCallback):
    """Keeps the frozen weights of one layer, and the adapter's, after each step."""

    def __init__(self):
        self.frozen, self.adapter = [], []

    def on_step_end(self, args, state, control, model, **_):
        for name, weight in model.named_parameters():
            if name.endswith("layers.0.self_attn.q_proj.base_layer.weight"):
                self.frozen.append(weight.detach().clone())
            if name.endswith("layers.0.self_attn.q_proj.lora_B.default.weight"):
                self.adapter.append(weight.detach().clone())


def adapted(config, *, tied=True):
    """A tiny policy with an adapter, and its tokenizer."""
    model, tokenizer = tiny_policy()
    if not tied:
        model.config.tie_word_embeddings = False
        model = type(model)(model.config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns of what the trainer refuses
        return get_peft_model(model, config), tokenizer


def trained(folder, config, *, policy=None, tied=True, **options):
    """(run, trainer, what was kept) of three steps with an adapter."""
    kept = Kept()
    made = trainer(
        folder,
        policy=policy or adapted(config, tied=tied),
        environment=echo_environment(reward=spread),
        callbacks=[kept],
        max_steps=3,
        learning_rate=1e-2,
        max_tokens=12,
        **options,
    )
    made.train()
    return rlvr.open_run(folder), made, kept


ADAPTERS = {
    "attention and mlp": {},
    "every linear layer": {"target_modules": "all-linear"},
    "a norm saved whole": {"modules_to_save": ["norm"]},
    "biases": {"bias": "lora_only"},
    "weight-decomposed": {"use_dora": True},
}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_sampler_has_the_adapted_weights_at_each_step(tmp_path, adapter):
    run, _, kept = trained(tmp_path, lora(**ADAPTERS[adapter]))
    gaps = {t.step: [] for t in run.trajectories()}
    for trajectory in run.trajectories():
        gaps[trajectory.step].append(trajectory.evidence.gap_mean)
        assert {turn.policy_version for turn in trajectory.turns} == {trajectory.step}
    assert sorted(gaps) == [0, 1, 2]
    assert all(max(of_step) < 1e-4 for of_step in gaps.values())
    assert not torch.equal(kept.adapter[0], kept.adapter[2])


@pytest.mark.parametrize(
    ("dtype", "repairs", "drift"),
    [
        (torch.float32, "all", pytest.approx(0, abs=1e-6)),
        (torch.bfloat16, "all", 0),
        (torch.bfloat16, "all,-frozen_weights", pytest.approx(0.05, abs=0.049)),
    ],
)
def test_frozen_weights_stay_what_they_were_through_merges(tmp_path, dtype, repairs, drift):
    config = lora(init_lora_weights=False)
    model, tokenizer = adapted(config)
    _, made, kept = trained(tmp_path, config, policy=(model.to(dtype), tokenizer), repairs=repairs)
    original = tiny_policy()[0].state_dict()[LAYER].to(dtype)
    moved = max((weights - original).abs().max().item() for weights in kept.frozen)
    print(f"{dtype}, {repairs}: frozen weights moved by up to {moved:.1e} in 3 merges and unmerges")
    assert moved == drift
    assert torch.equal(kept.adapter[2], adapter_of(made))
    assert not torch.equal(kept.adapter[0], kept.adapter[2])


def adapter_of(made):
    return made.model.state_dict()[
        f"base_model.model.{LAYER.replace('.weight', '')}.lora_B.default.weight"
    ]


@pytest.mark.parametrize("trains", ["target_modules", "modules_to_save"])
def test_embeddings_can_be_adapted_where_they_are_not_tied(tmp_path, trains):
    config = lora(**{"target_modules": ["q_proj"], trains: ["embed_tokens", "lm_head"]})
    run, _, _ = trained(tmp_path, config, tied=False)
    assert max(t.evidence.gap_mean for t in run.trajectories(step=2)) < 1e-4


@pytest.mark.parametrize("end", ["embed_tokens", "lm_head"])
@pytest.mark.parametrize("trains", ["target_modules", "modules_to_save"])
def test_tied_embeddings_can_not_be_adapted_and_sampled(tmp_path, trains, end):
    config = lora(**{"target_modules": ["q_proj"], trains: [end]})
    with pytest.raises(ConfigurationError, match="tie_word_embeddings"):
        trainer(tmp_path, policy=adapted(config))


def test_dropout_of_an_adapter_is_found_and_its_remedy_helps(tmp_path):
    config = lora(lora_dropout=0.5)
    run, _, _ = trained(tmp_path / "on", config)
    (found,) = [f for f in diagnose_run(run).findings if f.code == "sampler-trainer-gap"]
    assert "disable_dropout=True" in found.remedy
    run, _, _ = trained(tmp_path / "off", config, disable_dropout=True)
    assert max(t.evidence.gap_mean for t in run.trajectories()) < 1e-4
