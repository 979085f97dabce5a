"""Whatever a training's settings are, every rollout of every batch is recorded once and whole."""

import copy
import statistics
from collections import defaultdict

import pytest
import torch
import verifiers as vf

from forgetting import forgetting
from rlvr.errors import ConfigurationError
from trainings import (
    GROUP,
    echo_environment,
    numbered_questions,
    record_of,
    train,
    trainer,
)

pytestmark = pytest.mark.train

STEPS = 4
SETTINGS = {
    "plain": ({}, [0, 1, 2, 3]),
    "logged every third step": ({"logging_steps": 3}, [0, 1, 2, 3]),
    "scaled": ({"scale_rewards": True}, [0, 1, 2, 3]),
    "reused twice": ({"num_iterations": 2}, [0, 2]),
    "accumulated": (
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": GROUP},
        [0, 1, 2, 3],
    ),
    "one ahead": ({"num_batches_ahead": 1}, [0, 1, 2, 3]),
    "all of it": (
        {
            "logging_steps": 3,
            "scale_rewards": True,
            "num_iterations": 2,
            "gradient_accumulation_steps": 2,
            "per_device_train_batch_size": GROUP,
            "num_batches_ahead": 1,
        },
        [0, 2],
    ),
}


class Counted(vf.SingleTurnEnv):
    """Counts its rollouts, and keeps every completion by the number that it ends with."""

    def __init__(self, **options):
        super().__init__(**options)
        self.answers = []

    async def rollout(self, *args, **kwargs):
        completion, state = await super().rollout(*args, **kwargs)
        self.answers.append((state["info"]["id"], completion[0]["content"]))
        return completion, state


@pytest.fixture(scope="module", params=SETTINGS)
def recorded(request, tmp_path_factory):
    settings, steps = SETTINGS[request.param]
    environment = Counted(dataset=numbered_questions(), rubric=vf.Rubric(funcs=[unlike]))
    options = {"max_steps": STEPS, **settings}
    training = train(tmp_path_factory.mktemp("run"), environment=environment, **options)
    return training, steps


def unlike(completion):
    """A reward that differs between rollouts."""
    return float(sum(completion[-1]["content"].encode()) % 17)


def groups_of(run):
    groups = defaultdict(list)
    for trajectory in run.trajectories():
        groups[trajectory.group_id].append(trajectory)
    return groups


def test_every_rollout_is_recorded_once(recorded):
    training, steps = recorded
    found = [(t.example_id, t.completion[0].content) for t in training.run.trajectories()]
    assert sorted(found) == sorted(training.trainer.env.answers)
    assert len(found) == len(steps) * 2 * GROUP
    assert len({t.id for t in training.run.trajectories()}) == len(found)
    assert training.trainer.async_generator.captures == {}  # nothing is held on to


def test_each_batch_stands_at_the_step_that_it_was_requested_for(recorded):
    training, steps = recorded
    places = sorted({(t.batch, t.step) for t in training.run.trajectories()})
    assert places == list(enumerate(steps))
    assert {t.example_id for t in training.run.trajectories(step=steps[0])}.isdisjoint(
        t.example_id for t in training.run.trajectories(step=steps[1])
    )


def test_groups_are_whole_and_advantages_follow_from_their_rewards(recorded):
    training, _ = recorded
    scaled = training.run.info.scale_rewards
    assert scaled is training.trainer.args.scale_rewards
    for group in groups_of(training.run).values():
        assert [t.sample for t in group] == list(range(GROUP))
        assert len({t.example_id for t in group}) == 1
        rewards = [t.reward for t in group]
        spread = statistics.stdev(rewards) + 1e-4 if scaled else 1.0
        for trajectory in group:
            value = unlike([{"content": trajectory.completion[0].content}])
            assert trajectory.component("unlike").value == trajectory.reward == value
            expected = (value - statistics.fmean(rewards)) / spread
            assert trajectory.advantage == pytest.approx(expected, abs=1e-3)


def test_what_the_trainer_logs_is_recorded_too(recorded):
    training, _ = recorded
    every = training.trainer.args.logging_steps
    logged = [row for row in training.run.metrics() if "loss" in row.values]
    assert [row.step for row in logged] == list(range(every, STEPS + 1, every))


def test_the_users_environment_is_as_it_was(tmp_path):
    environment = echo_environment()
    before = copy.copy(vars(environment))
    kind, functions = type(environment), list(environment.rubric.reward_funcs)
    train(tmp_path, environment=environment)
    assert vars(environment) == before
    assert type(environment) is kind
    assert environment.rubric.reward_funcs == functions


class Moody(vf.SingleTurnEnv):
    """Changes itself as it goes, which its reward reads."""

    mood = 0.0

    async def rollout(self, *args, **kwargs):
        self.mood += 1.0
        return await super().rollout(*args, **kwargs)


def test_what_an_environment_changes_in_itself_is_seen_by_its_owner(tmp_path):
    environment = Moody(dataset=numbered_questions(), rubric=vf.Rubric())
    environment.rubric.add_reward_func(lambda completion: environment.mood, weight=1.0)
    run = train(tmp_path, environment=environment, say=lambda _: "1").run
    assert environment.mood == 8.0
    assert {t.reward for t in run.trajectories()} & {8.0}


def test_rewards_may_read_the_state_of_their_rollout(tmp_path):
    def asked(state, info, answer, task, prompt, parser):
        assert state["info"] == info
        assert state["responses"][0].choices[0].finish_reason == "stop"
        return float(answer) + len(prompt)

    run = train(tmp_path, environment=echo_environment(asked), say=lambda _: "1").run
    for trajectory in run.trajectories():
        assert trajectory.component("asked").value == float(trajectory.answer) + 1


@pytest.mark.parametrize("option", [{"log_full_trajectories": False}, {"log_token_details": True}])
def test_recording_takes_nothing_from_the_trainings_random_state(tmp_path, option):
    states = []
    for number, options in enumerate(({}, option)):
        answers = iter(["1", "2", "3", "21", "32", "1", "23", "12"])
        training = trainer(tmp_path / str(number), say=lambda _, a=answers: next(a), **options)
        training.train()
        states.append(torch.random.get_rng_state())
    assert torch.equal(*states)
    recorded = option.get("log_full_trajectories", True)
    assert (tmp_path / "1" / "rlvr").exists() is recorded


@pytest.mark.parametrize(("every", "steps"), [(1, [0, 1, 2]), (2, [0, 2])])
def test_token_details_are_kept_of_every_nth_step_with_the_text_of_each_token(
    tmp_path, every, steps
):
    training = train(
        tmp_path, say=lambda _: "1", max_steps=3, log_token_details=True, token_details_every=every
    )
    rows = list(training.run.trajectories())
    assert sorted({row.step for row in rows if row.tokens is not None}) == steps
    assert training.run.info.token_details_every == every
    texts = training.run.vocabulary()
    tokenizer = training.trainer.processing_class
    assert len(texts) == len(tokenizer)
    (sequence,) = rows[0].tokens.sequences
    assert "".join(texts[token] for token in sequence.ids) == tokenizer.decode(list(sequence.ids))


def test_without_token_details_no_vocabulary_is_kept(tmp_path):
    training = train(tmp_path, say=lambda _: "1")
    assert training.run.vocabulary() == ()
    assert training.run.info.token_details_every == 0


def test_details_of_every_zeroth_step_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="use 1 for every step"):
        trainer(tmp_path, log_token_details=True, token_details_every=0)


def test_a_history_that_the_template_rewrites_becomes_a_further_sequence(tmp_path):
    training = forgetting(tmp_path)
    training.train()
    encode = training.processing_class.encode
    for trajectory in record_of(tmp_path):
        assert trajectory.evidence.sequences == 2
        assert trajectory.evidence.ids_match
        for turn, sequence in enumerate(trajectory.tokens.sequences):
            trained = [i for i, mask in zip(sequence.ids, sequence.loss_mask, strict=True) if mask]
            said = encode([m for m in trajectory.completion if m.role == "assistant"][turn].content)
            assert trained[: len(said)] == said
            assert sequence.trainer_logprobs is not None
            (span,) = [span for span in sequence.spans if span.role == "assistant"]
            assert span.turn == turn
        first, second = trajectory.tokens.sequences
        assert encode("<think>")[-1] in list(first.ids)[first.spans[1].start :]
        assert trajectory.evidence.trained_tokens == sum(t.sampled_tokens for t in trajectory.turns)
        assert list(second.ids)[: len(first.ids)] != list(first.ids)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_further_sequences_are_in_the_batches_that_are_trained_on(tmp_path, accumulation):
    training = forgetting(
        tmp_path,
        gradient_accumulation_steps=accumulation,
        per_device_train_batch_size=8 // accumulation,
    )
    training.train()
    trained = set()
    for chunk in training._buffered_inputs:
        sizes = {len(tensor) for tensor in chunk.values()}
        assert sizes == {16 // accumulation}
        trained |= {
            (tuple(ids[mask > 0].tolist()), round(float(advantage), 3))
            for ids, mask, advantage in zip(
                chunk["input_ids"], chunk["attention_mask"], chunk["advantages"], strict=True
            )
        }
    recorded = {
        (
            tuple(i for i, mask in zip(sequence.ids, sequence.loss_mask, strict=True) if mask),
            round(trajectory.advantage, 3),
        )
        for trajectory in record_of(tmp_path)
        for sequence in trajectory.tokens.sequences
    }
    assert trained == recorded


def test_further_sequences_change_the_gradient(tmp_path):
    training = forgetting(tmp_path)
    training.train()
    (chunk,) = training._buffered_inputs
    gradients = []
    for rows in (16, 8):
        training.model.zero_grad()
        training.compute_loss(
            training.model, {name: t[:rows] for name, t in chunk.items()}
        ).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in training.model.parameters()]))
    whole, first = gradients
    print("relative difference of the gradient:", ((whole - first).norm() / first.norm()).item())
    assert (whole - first).norm() > 0.05 * first.norm()
