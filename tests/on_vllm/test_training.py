"""Training against a real server: its weights are the policy's at every step, or it shows."""

import copy
from collections import Counter

import pytest
import torch
from on_server import RATE, STEPS, findings, gaps, steps, train, trainer
from peft import LoraConfig

import rlvr
import trainings
from rlvr.errors import InferenceError
from rlvr.inference.vllm import VllmFiles
from rlvr.inference.vllm_faults import FrozenWeights, StaleCache
from rlvr.record.check import CheckStatus

pytestmark = pytest.mark.train

NEGLIGIBLE = 1e-3
VISIBLE = 1e-2
TIED = {"lm_head.weight": "model.embed_tokens.weight"}
SYNC_CODES = {"sampler-trainer-gap", "wrong-policy-version"}


def lora():
    return LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def test_after_each_sync_the_server_samples_from_the_trainers_weights(tmp_path, server, policy):
    before = copy.deepcopy(policy[0].state_dict())
    rollouts = train(tmp_path, server, policy)
    assert list(steps(rollouts)) == list(range(STEPS))
    assert all(r.evidence.ids_match for r in rollouts)
    assert max(gaps(rollouts)) < NEGLIGIBLE
    assert all(turn.policy_version == r.step for r in rollouts for turn in r.turns)
    called = [call for r in rollouts for message in r.completion for call in message.tool_calls]
    assert called
    assert {call.name for call in called} == {"retrieve"}
    moved = [not torch.equal(before[name], now) for name, now in policy[0].state_dict().items()]
    assert all(moved)
    assert not list((tmp_path / "weight_sync").glob("*/unfinished"))
    assert not findings(tmp_path) & SYNC_CODES


@pytest.mark.parametrize("fault", [FrozenWeights, StaleCache])
def test_a_sync_that_goes_wrong_shows_in_the_gap_and_is_diagnosed(
    tmp_path, server, policy, sampler, fault
):
    engine = fault(sampler=sampler, folder=tmp_path / "weights", tied=TIED)
    rollouts = train(tmp_path, server, policy, inference=engine, learning_rate=2e-2, max_steps=6)
    first, *later = gaps(rollouts)
    assert first < NEGLIGIBLE
    assert max(later) > VISIBLE
    assert findings(tmp_path) & SYNC_CODES


def test_preflight_passes_on_the_server_and_leaves_it_and_the_policy_as_they_were(
    tmp_path, server, policy
):
    subject = trainer(tmp_path, server, policy)
    before = copy.deepcopy(policy[0].state_dict())
    report = rlvr.preflight(subject)
    assert report.failed == ()
    passed = {check.name for check in report.having(CheckStatus.PASS)}
    assert "weights reach the sampler" in passed
    assert all(torch.equal(before[name], now) for name, now in policy[0].state_dict().items())
    subject.train()
    assert max(gaps(trainings.record_of(tmp_path))) < NEGLIGIBLE


def test_preflight_notices_weights_that_do_not_arrive(tmp_path, server, policy, sampler):
    engine = FrozenWeights(sampler=sampler, folder=tmp_path / "weights", tied=TIED)
    report = rlvr.preflight(trainer(tmp_path, server, policy, inference=engine))
    (check,) = [c for c in report.checks if c.name == "weights reach the sampler"]
    assert check.status is CheckStatus.FAIL
    assert "still samples from the old weights" in check.sentence


@pytest.mark.parametrize("weight_sync", ["adapter", "files"])
def test_an_adapter_reaches_the_server_by_itself_and_merged(tmp_path, server, policy, weight_sync):
    rollouts = train(
        tmp_path, server, policy, weight_sync=weight_sync, peft_config=lora(), learning_rate=1e-2
    )
    assert len(steps(rollouts)) == STEPS
    assert all(r.evidence.ids_match for r in rollouts)
    assert max(gaps(rollouts)) < NEGLIGIBLE


def test_an_adapter_that_is_merged_but_not_loaded_shows_in_the_gap(
    tmp_path, server, policy, sampler
):
    engine = FrozenWeights(sampler=sampler, folder=tmp_path / "weights", tied=TIED)
    rollouts = train(
        tmp_path, server, policy, inference=engine, peft_config=lora(), learning_rate=1e-2
    )
    assert max(gaps(rollouts)) > VISIBLE


@pytest.mark.parametrize("ahead", [1, 2])
def test_batches_ahead_are_sampled_whole_from_one_version_each(tmp_path, server, policy, ahead):
    rollouts = train(tmp_path, server, policy, num_batches_ahead=ahead, max_steps=5)
    versions = {
        step: Counter(turn.policy_version for r in found for turn in r.turns)
        for step, found in steps(rollouts).items()
    }
    assert list(versions) == list(range(5))
    assert all(len(found) == 1 for found in versions.values())
    behind = [step - next(iter(found)) for step, found in versions.items()]
    assert max(behind) == ahead
    assert all(0 <= lag <= ahead for lag in behind)
    fresh = [
        r.evidence.gap_mean for r in rollouts if r.turns and r.turns[0].policy_version == r.step
    ]
    assert fresh
    assert max(fresh) < NEGLIGIBLE


def test_evaluation_asks_the_server_with_the_trained_weights(tmp_path, server, policy):
    subject = trainer(tmp_path, server, policy, max_steps=2, learning_rate=RATE)
    subject.train()
    metrics = subject.evaluate()
    assert metrics["eval_reward"] is not None
    recorded = [r for r in trainings.record_of(tmp_path) if r.mode == "eval"]
    assert len(recorded) == 4
    assert {turn.policy_version for r in recorded for turn in r.turns} == {2}


def test_unknown_and_missing_weights_are_errors_before_the_server_gets_any(
    tmp_path, sampler, policy
):
    model, _ = policy
    names = frozenset(name for name, _ in model.named_parameters())
    engine = VllmFiles(sampler=sampler, folder=tmp_path, checkpoint=names)
    engine.init_communicator()
    engine.update_named_param("model.unheard_of.weight", model.lm_head.weight)
    with pytest.raises(InferenceError, match=r"otherwise than the checkpoint.*unheard_of"):
        engine.reset_prefix_cache()

    engine = VllmFiles(sampler=sampler, folder=tmp_path, expected=names)
    engine.init_communicator()
    engine.update_named_param("model.norm.weight", model.model.norm.weight)
    with pytest.raises(InferenceError, match="were not sent to the sampler"):
        engine.reset_prefix_cache()
