"""A training after a preflight is the training without it."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

import rlvr
from rlvr.inference.embedded import EmbeddedEngine
from trainings import demo_policy, questions, record_of, tiny_policy, trainer

pytestmark = pytest.mark.train


def lora():
    from peft import LoraConfig

    return LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


class Steady(EmbeddedEngine):
    """Samples the same for the same prompts, in whatever order the library asks."""

    def generate(self, requests):
        order = sorted(range(len(requests)), key=lambda at: requests[at].prompt_ids)
        found = super().generate([requests[at] for at in order])
        samples = dict(zip(order, found, strict=True))
        return [samples[at] for at in range(len(requests))]


def begun(folder, options):
    """A trainer whose update does not depend on which rollout of a group got which sample."""
    chosen = {name: make() if callable(make) else make for name, make in options.items()}
    model, tokenizer = tiny_policy()
    engine = Steady(model, tokenizer, max_model_len=512)
    return trainer(
        folder,
        policy=(model, tokenizer),
        inference=engine,
        max_tokens=12,
        optim="sgd",
        learning_rate=0.1,
        loss_type="grpo",
        **chosen,
    )


def sampled(t):
    return (t.step, t.group_id, t.question, t.completion[0].content, t.reward)


def weights(of):
    return {name: p.detach().clone() for name, p in of.model.named_parameters()}


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


OPTIONS = [
    {},
    {"repairs": "generation_errors"},
    {"peft_config": lora},
    {"gradient_accumulation_steps": 2, "num_iterations": 2, "max_steps": 3},
    # One step: the second batch is sampled while the first is shuffled, from one random state, so
    # that no two trainings agree on it.
    {"num_batches_ahead": 1, "max_steps": 1},
]
NAMES = ["repaired", "as shipped", "lora", "several micro-steps", "batches ahead"]


@pytest.mark.parametrize("options", OPTIONS, ids=NAMES)
def test_the_first_batch_and_the_weights_after_it_are_the_same(tmp_path, options):
    alone = begun(tmp_path / "alone", options)
    alone.train()
    checked = begun(tmp_path / "checked", options)
    before = weights(checked)
    rlvr.preflight(checked)
    assert equal(weights(checked), before)
    checked.train()
    one, two = record_of(tmp_path / "alone"), record_of(tmp_path / "checked")
    assert sorted(map(sampled, one)) == sorted(map(sampled, two))
    after, with_preflight = weights(alone), weights(checked)
    assert not equal(with_preflight, before)
    assert all(torch.allclose(after[name], with_preflight[name], atol=1e-6) for name in after)


def test_no_random_state_moves_and_nothing_is_written(tmp_path):
    policy, environment = demo_policy(), questions()
    checked = trainer(tmp_path, policy=policy, environment=environment, log_token_details=True)
    attributes = dict(vars(checked))
    modes = [module.training for module in checked.model.modules()]
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    rlvr.preflight(checked)
    assert (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    ) == states
    assert vars(checked) == attributes
    assert modes == [module.training for module in checked.model.modules()]
    assert list(tmp_path.iterdir()) == []
    assert checked.state.log_history == []
    assert checked._metrics == {"train": {}, "eval": {}}


def test_the_weight_is_put_back_where_the_sync_fails(tmp_path):
    class Gone(EmbeddedEngine):
        resets = 0

        def reset_prefix_cache(self):
            self.resets += 1
            if self.resets > 1:
                raise ConnectionError("the server is gone")

    model, tokenizer = tiny_policy()
    engine = Gone(model, tokenizer, max_model_len=512)
    checked = trainer(tmp_path, policy=(model, tokenizer), inference=engine)
    before = weights(checked)
    report = rlvr.preflight(checked)
    assert "the server is gone" in report.check("weights reach the sampler").sentence
    assert equal(weights(checked), before)


def test_preflight_is_a_lazy_function_of_the_package_however_it_is_imported():
    code = (
        "import sys, rlvr\n"
        "assert not {'torch', 'rlvr.preflight'} & set(sys.modules)\n"
        "import rlvr.preflight\n"
        "assert 'torch' not in sys.modules\n"
        "for name in (rlvr.preflight, rlvr.preflight):\n"
        "    try: name(None)\n"
        "    except ValueError as error: assert 'EnhancedGRPOTrainer' in str(error)\n"
        "    else: raise SystemExit('not refused')\n"
        "import rlvr.preflight.checks\n"
        "assert callable(rlvr.preflight)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
