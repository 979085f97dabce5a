"""Batches that are sampled ahead: which weights really sampled them, and what the record says."""

import time

import numpy as np
import pytest
import torch
import verifiers as vf
from transformers import TrainerCallback

import rlvr
from rlvr.diagnosis import diagnose_run
from rlvr.diagnosis.finding import Finding, Healthy
from rlvr.inference.embedded import EmbeddedEngine
from trainings import echo_environment, numbered_questions, tiny_policy, trainer

pytestmark = pytest.mark.train
STEPS = 5
STALE = "wrong-policy-version"


class Checkpoints(TrainerCallback):
    """Keeps a copy of the weights by the updates that they contain."""

    def __init__(self):
        self.models = {}

    def keep(self, state, model):
        self.models[state.global_step] = {
            name: weight.detach().clone() for name, weight in model.state_dict().items()
        }

    def on_train_begin(self, args, state, control, model, **_):
        self.keep(state, model)

    def on_step_end(self, args, state, control, model, **_):
        self.keep(state, model)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(run, weights by update) for (batches ahead, iterations, accumulation), made when asked."""
    made = {}

    def training(ahead, iterations=1, accumulation=1):
        key = (ahead, iterations, accumulation)
        if key not in made:
            folder = tmp_path_factory.mktemp("run")
            kept = Checkpoints()
            trainer(
                folder,
                environment=echo_environment(reward=even),
                callbacks=[kept],
                log_token_details=True,
                max_steps=STEPS,
                learning_rate=3e-3,
                max_tokens=12,
                num_batches_ahead=ahead,
                num_iterations=iterations,
                gradient_accumulation_steps=accumulation,
            ).train()
            made[key] = rlvr.open_run(folder), kept.models
        return made[key]

    return training


def even(completion):
    """A reward that an untrained policy's rollouts differ in."""
    return float(sum(map(ord, completion[-1]["content"])) % 7)


SETTINGS = [(0, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 1, 2)]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_recorded_version_is_that_of_the_weights_that_sampled(trained, settings):
    run, checkpoints = trained(*settings)
    scorer, _ = tiny_policy()
    scorer.eval()
    by_version = {}
    for trajectory in run.trajectories(tokens=True):
        by_version.setdefault(trajectory.turns[0].policy_version, []).append(trajectory)
    for version, trajectories in by_version.items():
        gaps = {}
        for candidate, weights in checkpoints.items():
            scorer.load_state_dict(weights)
            gaps[candidate] = np.mean([gap(scorer, trajectory) for trajectory in trajectories])
        assert min(gaps, key=gaps.get) == version
        assert gaps.pop(version) < 1e-5
        assert min(gaps.values()) > 1e-4


@torch.no_grad()
def gap(model, trajectory):
    """Mean |model - sampler| logprob over the sampled tokens."""
    (sequence,) = trajectory.tokens.sequences
    ids = torch.tensor([list(sequence.ids)])
    scores = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    sampled = np.asarray(sequence.loss_mask)[1:] > 0
    sampler = np.asarray(sequence.sampler_logprobs)[1:]
    return np.abs(scores.numpy() - sampler)[sampled].mean()


@pytest.mark.parametrize("settings", SETTINGS)
def test_weights_lie_behind_by_what_the_settings_say(trained, settings):
    run, _ = trained(*settings)
    ahead, iterations, _ = settings
    steps = {trajectory.step for trajectory in run.trajectories()}
    assert steps == set(range(0, STEPS, iterations))
    for trajectory in run.trajectories():
        versions = {turn.policy_version for turn in trajectory.turns}
        # The first batches are all sampled before the first update.
        assert versions == {max(trajectory.step - ahead * iterations, 0)}


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_lag_that_was_asked_for_is_healthy(trained, settings):
    run, _ = trained(*settings)
    (found,) = [outcome for outcome in outcomes(run) if outcome.code == STALE]
    assert isinstance(found, Healthy)
    ahead, iterations, _ = settings
    (lag,) = [number.value for number in found.numbers if number.name == "largest lag"]
    assert lag == min(ahead * iterations, STEPS - 1)


def outcomes(run):
    verdict = diagnose_run(run)
    return [*verdict.findings, *verdict.healthy, *verdict.unknown]


def test_batches_hold_the_same_prompts_however_early_they_are_sampled(trained):
    def prompts(settings):
        run, _ = trained(*settings)
        return {(t.batch, t.group_id, t.example_id) for t in run.trajectories()}

    assert prompts((0, 1, 1)) == prompts((1, 1, 1)) == prompts((2, 1, 1))


def test_more_batches_ahead_than_were_asked_for_are_found(tmp_path):
    eager = trainer(
        tmp_path,
        environment=echo_environment(reward=even),
        max_steps=STEPS,
        max_tokens=12,
        num_batches_ahead=1,
    )
    eager.async_generator.num_batches_ahead = 2
    eager.train()
    (found,) = [o for o in outcomes(rlvr.open_run(tmp_path)) if o.code == STALE]
    assert isinstance(found, Finding)
    assert found.since_step == 2
    assert "up to 2 updates old" in found.sentence


class Watched(EmbeddedEngine):
    """Takes its time to get new weights, and notices when it is asked to sample meanwhile."""

    __slots__ = ("half_new", "sampled_half_new", "syncs")

    def update_named_param(self, name, weights):
        self.half_new = True
        time.sleep(0.02)
        EmbeddedEngine.update_named_param(self, name, weights)

    def reset_prefix_cache(self):
        self.half_new = False
        self.syncs = getattr(self, "syncs", 0) + 1

    def generate(self, requests):
        samples = EmbeddedEngine.generate(self, requests)
        self.sampled_half_new = getattr(self, "sampled_half_new", False) or self.half_new
        return samples


class SlowToTokenise(vf.SingleTurnEnv):
    """After its rollouts a batch takes a while, in which the next one is not yet begun."""

    def process_env_results_vllm(self, *args, **kwargs):
        time.sleep(0.25)
        return super().process_env_results_vllm(*args, **kwargs)


def test_no_batch_is_sampled_while_weights_are_on_their_way(tmp_path):
    model, tokenizer = tiny_policy()
    watched = Watched(model, tokenizer, max_model_len=128)
    trainer(
        tmp_path,
        policy=(model, tokenizer),
        environment=SlowToTokenise(dataset=numbered_questions(), rubric=vf.Rubric(funcs=[even])),
        inference=watched,
        max_steps=3,
        max_tokens=12,
        num_batches_ahead=2,
    ).train()
    assert watched.syncs == 3
    assert not watched.sampled_half_new
    versions = {t.step: t.turns[0].policy_version for t in rlvr.open_run(tmp_path).trajectories()}
    assert versions == {0: 0, 1: 0, 2: 0}
