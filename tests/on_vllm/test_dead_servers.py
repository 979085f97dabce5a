"""A server that is not there, dies or hangs: one clear error in time, and nothing recorded lost."""

import threading
import time

import pytest
from on_server import gaps, steps, trainer
from vllm_process import free_port

import rlvr
import trainings
from rlvr.errors import ConfigurationError, GenerationFailed, InferenceError

pytestmark = pytest.mark.train

PATIENCE_S = 3.0


class WhenAsked(threading.Thread):
    """Calls `act` once the trainer has finished a step and asks for the next batch's answers."""

    def __init__(self, trainer, step, act):
        super().__init__(daemon=True)
        self._trainer, self._step, self._act = trainer, step, act
        self.acted_at = None
        self.start()

    def run(self):
        generator = self._trainer.async_generator
        while self._trainer.state.global_step < self._step or not generator.is_generating:
            time.sleep(0.01)
        time.sleep(0.2)
        self.acted_at = time.monotonic()
        self._act()


def test_a_server_that_is_not_there_is_named_within_the_time_to_wait(tmp_path, policy):
    nowhere = type("Nowhere", (), {"port": free_port()})
    began = time.monotonic()
    with pytest.raises(InferenceError, match=rf"127.0.0.1:{nowhere.port} .*waited 2 s.*vllm serve"):
        trainer(tmp_path, nowhere, policy, vllm_server_timeout=2.0)
    assert time.monotonic() - began < 30


def test_a_server_of_another_model_or_of_too_few_tokens_is_refused(tmp_path, server, policy):
    with pytest.raises(ConfigurationError, match="max-model-len 4096"):
        trainer(tmp_path, server, policy, max_seq_len=4096)
    policy[0].config._name_or_path = "another/model"
    with pytest.raises(ConfigurationError, match="--served-model-name another/model"):
        trainer(tmp_path, server, policy)


def test_a_server_that_hangs_is_given_up_after_the_request_timeout(tmp_path, server, policy):
    subject = trainer(tmp_path, server, policy, max_steps=50, request_timeout=PATIENCE_S)
    hang = WhenAsked(subject, 2, server.freeze)
    try:
        with pytest.raises((InferenceError, GenerationFailed)) as caught:
            subject.train()
        waited = time.monotonic() - hang.acted_at
    finally:
        server.thaw()
    assert f"has not answered /v1/chat/completions within {PATIENCE_S:g} s" in str(caught.value)
    assert "--request-timeout" in str(caught.value)
    assert PATIENCE_S / 2 < waited < PATIENCE_S + 15
    assert_complete(tmp_path, steps_done=2)


def test_weights_for_a_server_that_hangs_are_given_up_too(tmp_path, server, policy):
    subject = trainer(tmp_path, server, policy, request_timeout=PATIENCE_S)
    server.freeze()
    try:
        with pytest.raises(InferenceError, match=r"did not reach the sampler.*/collective_rpc"):
            subject.train()
    finally:
        server.thaw()


def test_a_killed_server_ends_the_run_cleanly_and_a_new_one_continues_it(tmp_path, server, policy):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 1}
    subject = trainer(tmp_path, server, policy, **options)
    death = WhenAsked(subject, 3, server.kill)
    with pytest.raises((InferenceError, GenerationFailed)) as caught:
        subject.train()
    assert time.monotonic() - death.acted_at < 15
    said = str(caught.value)
    assert server.url in said
    assert "it has died" in said
    assert "This was at step 3" in said
    assert "go on from step 3 with --resume latest" in said
    died = assert_complete(tmp_path, steps_done=3)
    assert any("it has died" in rollout.errors[0].text for rollout in died if rollout.errors)

    server.start()
    subject = trainer(tmp_path, server, policy, **options)
    subject.train(resume_from_checkpoint=True)
    rollouts = trainings.record_of(tmp_path)
    assert list(steps(rollouts)) == list(range(6))
    assert [r.attempt for r in rollouts] == [int(r.step >= 3) for r in rollouts]
    assert max(gaps(rollouts)) < 1e-3


def assert_complete(folder, *, steps_done):
    """Whole batches of the steps that were done, and what there was of the next."""
    run = rlvr.open_run(folder)
    (rank,) = run.status().ranks
    assert rank.recorded == rank.offered
    found = steps(run.trajectories())
    assert list(found)[:steps_done] == list(range(steps_done))
    assert all(len(found[step]) == 2 * trainings.GROUP for step in range(steps_done))
    return found.get(steps_done, [])
