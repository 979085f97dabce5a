"""evaluate() inside a training and outside it: current weights, recorded and logged as such."""

import pytest
import torch

import rlvr
from rlvr.record import Mode
from trainings import demo_policy, echo_environment, questions, trainer

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two steps, evaluated after the first by the schedule and after the training by hand."""
    folder = tmp_path_factory.mktemp("run")
    training = trainer(
        folder,
        policy=demo_policy(),
        environment=questions(),
        max_steps=2,
        logging_steps=2,  # so that an evaluation finds training metrics that wait to be logged
        eval_strategy="steps",
        eval_steps=1,
    )
    training.train()
    before = rlvr.open_run(folder)
    inside = list(before.trajectories(mode=Mode.EVAL))
    metrics = training.evaluate()
    return training, inside, metrics, rlvr.open_run(folder)


def test_an_evaluation_inside_a_training_is_recorded(trained):
    _, inside, _, _ = trained
    assert [t.step for t in inside] == [1] * 4 + [2] * 4
    assert {t.batch for t in inside} == {0, 1}
    assert len({t.group_id for t in inside}) == 8
    assert {(t.mode, t.sample, t.advantage) for t in inside} == {(Mode.EVAL, 0, None)}
    assert len({t.example_id for t in inside}) == 4
    assert all(t.reward is not None and t.components and t.turns for t in inside)


def test_it_samples_from_the_weights_of_its_step(trained):
    training, inside, _, _ = trained
    assert {(t.step, t.turns[0].policy_version) for t in inside} == {(1, 1), (2, 2)}
    replica = training.vllm_client._replica.state_dict()
    assert all(torch.equal(replica[n], w) for n, w in training.model.state_dict().items())


def test_it_is_logged_as_an_evaluation_and_training_metrics_stay_apart(trained):
    training, inside, _, run = trained
    evaluations = [row for row in run.metrics(superseded=True) if row.mode == "eval"]
    assert [row.step for row in evaluations] == [1, 2, 2]
    for row in evaluations:
        assert {"eval_reward", "eval_reward_std", "eval_rewards/exact_match"} <= set(row.values)
        assert "loss" not in row.values
        assert "num_tokens" not in row.values
    rewards = [t.reward for t in inside if t.step == 1]
    assert evaluations[0].values["eval_reward"] == pytest.approx(sum(rewards) / 4)
    steps = [row for row in run.metrics(superseded=True) if "reward" in row.values]
    assert [(row.mode, row.step) for row in steps] == [("train", 2)]
    assert training.model.training


def test_after_a_training_it_continues_the_trainings_run(trained):
    _, _, metrics, run = trained
    assert run.others == ()
    assert [(a.attempt, a.first_step) for a in run.attempts] == [(0, 0), (1, 2)]
    outside = [t for t in run.trajectories(mode=Mode.EVAL) if t.attempt == 1]
    assert [(t.step, t.turns[0].policy_version) for t in outside] == [(2, 2)] * 4
    assert metrics["eval_reward"] == pytest.approx(sum(t.reward for t in outside) / 4)
    assert len(list(run.trajectories(mode=Mode.TRAIN))) == 16


def test_before_any_training_it_has_a_run_of_its_own(tmp_path):
    training = trainer(tmp_path)
    metrics = training.evaluate()
    (first,) = (tmp_path / "rlvr").iterdir()
    assert len(list(rlvr.open_run(first).trajectories(mode=Mode.EVAL))) == 3
    assert metrics["eval_reward"] >= 0.0
    training.train()
    assert len(list((tmp_path / "rlvr").iterdir())) == 2


def test_without_an_evaluation_set_it_does_nothing(tmp_path):
    environment = echo_environment()
    environment.eval_dataset = None
    assert trainer(tmp_path, environment=environment).evaluate() == {}
    assert not (tmp_path / "rlvr").exists()


def test_as_shipped_it_can_not_run_outside_a_training(tmp_path):
    with pytest.raises(RuntimeError, match="not started"):
        trainer(tmp_path, repairs="all,-evaluation").evaluate()


def test_as_shipped_it_asks_a_server_of_its_own(tmp_path):
    training = trainer(
        tmp_path,
        repairs="all,-evaluation",
        eval_strategy="steps",
        eval_steps=1,
        vllm_server_host="127.0.0.1",
        vllm_server_port=9,
        async_generation_timeout=10.0,
    )
    with pytest.raises(Exception, match="Connection error"):
        training.train()


def test_the_rollouts_of_a_failed_evaluation_are_recorded(tmp_path):
    def say(prompt):
        raise OSError("the sampler is gone")

    training = trainer(tmp_path, say=say)
    with pytest.raises(OSError, match="the sampler is gone"):
        training.evaluate()
    recorded = list(rlvr.open_run(tmp_path).trajectories(mode=Mode.EVAL))
    assert len(recorded) == 3
    assert any(e.text == "the sampler is gone" for t in recorded for e in t.errors)
