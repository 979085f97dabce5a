"""The settings in which TRL trains otherwise: reuse, slices, adapters, masks, text, rollouts."""

import copy
import math

import datasets
import pytest
import torch
from peft import LoraConfig
from transformers import TrainerCallback
from trl_trainings import (
    CUT,
    GROUP,
    Retrieve,
    check_groups,
    demo_policy,
    fresh_logprobs,
    musique,
    questions,
    record_of,
    referable_policy,
    retrieving,
    spoken,
    train,
    trainer,
)

import rlvr
from rlvr.diagnosis import Fate, Severity
from rlvr.record import Mode

pytestmark = pytest.mark.train


class Weights(TrainerCallback):
    """The weights at the beginning of each optimizer step."""

    def __init__(self):
        self.seen = []

    def on_step_begin(self, *_, model, **__):
        self.seen.append(copy.deepcopy(model.state_dict()))


def value(completions, **_):
    return [float(sum(completion[-1]["content"].encode()) % 17) for completion in completions]


SETTINGS = {
    "reused twice": ({"num_iterations": 2, "max_steps": 4}, {0: [0, 1], 2: [2, 3]}),
    "in slices": (
        {"steps_per_generation": 2, "per_device_train_batch_size": GROUP, "max_steps": 4},
        {0: [0, 1], 2: [2, 3]},
    ),
    "in slices, reused": (
        {
            "steps_per_generation": 2,
            "num_iterations": 2,
            "per_device_train_batch_size": GROUP,
            "max_steps": 4,
        },
        {0: [0, 1, 2, 3]},
    ),
    "accumulated": (
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": GROUP, "max_steps": 2},
        {0: [0], 1: [1]},
    ),
    "sampled once for two accumulations": (
        {
            "gradient_accumulation_steps": 2,
            "steps_per_generation": 4,
            "per_device_train_batch_size": GROUP // 2,
            "max_steps": 2,
        },
        {0: [0, 1]},
    ),
    "with a reference": ({"beta": 0.1, "max_steps": 2}, {0: [0], 1: [1]}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_update_is_recorded_of_the_rollout_that_it_trained(tmp_path, name):
    settings, updates = SETTINGS[name]
    weights = Weights()
    training = retrieving(
        tmp_path,
        policy=referable_policy(tmp_path / "policy"),
        callbacks=[weights],
        log_token_details=True,
        **settings,
    )
    check_groups(training.rows)
    assert {row.step for row in training.rows} == set(updates)
    model, _ = demo_policy()
    times = settings.get("num_iterations", 1)
    for row in training.rows:
        found = training.run.updates(row)
        assert {update.update for update in found} <= set(updates[row.step])
        assert len(found) == times
        (sequence,) = row.tokens.sequences
        for update in found:
            model.eval().load_state_dict(weights.seen[update.update])
            expected, _ = fresh_logprobs(model, sequence.ids)
            places = [place for place, one in enumerate(sequence.loss_mask) if one]
            ours = update.trainer_logprobs[0]
            assert [ours[place] for place in places] == pytest.approx(
                [expected[place] for place in places], abs=2e-4
            )
            if "beta" in settings:
                assert update.kl_mean == pytest.approx(0.0, abs=0.05)
        old, _ = fresh_logprobs(_with(model, weights.seen[row.step]), sequence.ids)
        prompt = row.evidence.trained_prompt_tokens
        assert list(sequence.trainer_logprobs)[prompt:] == pytest.approx(old[prompt:], abs=2e-4)
        assert row.evidence.entropy_mean > 0
    assert rlvr.diagnose(training.run).worst is not Severity.ERROR


def _with(model, weights):
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize(
    ("settings", "metric"),
    [
        ({}, "clip_ratio/region_mean"),
        ({"importance_sampling_level": "sequence", "epsilon": 0.02}, "clip_ratio/region_mean"),
        ({"loss_type": "cispo", "epsilon_high": 1.05}, "cispo_clip_ratio"),
    ],
)
def test_a_large_step_clips_and_the_record_says_how_much(tmp_path, settings, metric):
    training = retrieving(
        tmp_path, num_iterations=4, max_steps=4, learning_rate=3e-3, log_token_details=True,
        **settings,
    )  # fmt: skip
    logged = [r.values[metric] for r in training.run.metrics() if metric in r.values]
    by_sequence = "importance_sampling_level" in settings
    for step, share in enumerate(logged):
        clipped = weights = 0.0
        for row in training.rows:
            (update,) = [u for u in training.run.updates(row) if u.update == step]
            weight = 1 if by_sequence else row.evidence.trained_tokens
            clipped += update.clipped_share * weight
            weights += weight
        assert clipped / weights == pytest.approx(share, abs=1e-4)
    assert logged[0] == 0.0
    assert logged[-1] > 0


def test_adapters_train_and_are_recorded(tmp_path):
    adapters = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    training = retrieving(tmp_path, peft_config=adapters, max_steps=2, log_token_details=True)
    check_groups(training.rows)
    assert {row.step for row in training.rows} == {0, 1}
    assert all(row.evidence.ids_match for row in training.rows)
    model, _ = demo_policy()  # new adapters change nothing before the first update
    for row in training.rows[: 2 * GROUP]:
        (sequence,) = row.tokens.sequences
        expected, _ = fresh_logprobs(model.eval(), sequence.ids)
        prompt = row.evidence.trained_prompt_tokens
        assert list(sequence.trainer_logprobs)[prompt:] == pytest.approx(
            expected[prompt:], abs=2e-4
        )
    assert training.run.info.model_parameters > 0


@pytest.mark.parametrize("masked", [False, True])
def test_what_was_cut_is_flagged_and_masked_where_trl_masks_it(tmp_path, masked):
    numbers = iter(range(100))
    policy = spoken(lambda _: "1 2 3" + CUT * (next(numbers) % 3 // 2))
    training = train(
        tmp_path,
        policy=policy,
        rewards=[value],
        data=questions(),
        mask_truncated_completions=masked,
        log_token_details=True,
    )
    assert sorted({row.evidence.truncated for row in training.rows}) == [False, True]
    for row in training.rows:
        evidence = row.evidence
        assert row.stop_reason == ("length" if evidence.truncated else "finished")
        lost = masked and evidence.truncated
        assert evidence.trained_tokens == (0 if lost else evidence.sampled_tokens)
        assert evidence.sampled_untrained_tokens == (evidence.sampled_tokens if lost else 0)
        assert evidence.ids_match
        assert sum(row.tokens.sequences[0].loss_mask) == evidence.trained_tokens
        spans = [span.role for span in row.tokens.sequences[0].spans]
        assert spans == ["prompt", "assistant"]


def test_masked_rollouts_are_lost_to_the_gradient_and_no_fault(tmp_path):
    training = retrieving(
        tmp_path, mask_truncated_completions=True, max_completion_length=30, max_steps=2
    )
    masked = [row for row in training.rows if row.evidence.truncated]
    assert masked
    assert all(row.evidence.trained_tokens == 0 for row in masked)
    verdict = rlvr.diagnose(training.run)
    assert verdict.ledger.count(Fate.CORRUPTED) == verdict.ledger.count(Fate.UNVERIFIED) == 0
    assert verdict.ledger.count(Fate.LOST) >= len(masked)
    assert {finding.code for finding in verdict.findings if finding.severity is Severity.ERROR} <= {
        "truncation"
    }


def test_plain_text_is_one_message_of_either_side(tmp_path):
    data = datasets.Dataset.from_list([{"prompt": f"Say {n}:"} for n in range(8)])

    def of_text(completions, **_):
        return [float(len(completion)) for completion in completions]

    numbers = iter(range(100))
    policy = spoken(lambda _: "12" * (1 + next(numbers) % 3))
    training = train(tmp_path, policy=policy, rewards=[of_text], data=data)
    check_groups(training.rows)
    for row in training.rows:
        ((asked,), (said,)) = row.prompt, row.completion
        assert (asked.role, said.role) == ("user", "assistant")
        assert asked.content.startswith("Say ")
        assert set(said.content) == {"1", "2"}
        assert row.reward == len(said.content)
        assert row.evidence.ids_match


def test_the_parts_of_a_message_are_kept(tmp_path):
    parts = [{"type": "text", "text": "Say"}, {"type": "text", "text": "one."}]
    rows = [{"prompt": [{"role": "user", "content": parts}]}] * 8
    training = train(
        tmp_path,
        policy=spoken(lambda _: "1"),
        rewards=[value],
        data=datasets.Dataset.from_list(rows),
    )
    for row in training.rows:
        assert [part.text for part in row.prompt[0].parts] == ["Say", "one."]


def test_what_a_rollout_function_reports_is_recorded(tmp_path):
    tokens = {}

    def roll_out(prompts, trainer):
        tokenizer = trainer.processing_class
        said, shown = tokenizer.encode("12"), tokenizer.encode(" and ")
        end = [tokenizer.eos_token_id]
        tokens.update(said=said, shown=shown)
        ids = [tokenizer.apply_chat_template(p, add_generation_prompt=True)["input_ids"]
               for p in prompts]  # fmt: skip
        whole = said + shown + said + end
        mask = [1] * len(said) + [0] * len(shown) + [1] * (len(said) + 1)
        return {
            "prompt_ids": ids,
            "completion_ids": [whole for _ in prompts],
            "logprobs": [[-0.5 * one for one in mask] for _ in prompts],
            "env_mask": [mask for _ in prompts],
            "hint": [f"hint {n}" for n, _ in enumerate(prompts)],
        }

    training = train(
        tmp_path,
        policy=spoken(lambda _: "never asked"),
        rewards=[value],
        data=questions(),
        rollout_func=roll_out,
        log_token_details=True,
    )
    assert training.run.info.inference == "rollout_func"
    for place, row in enumerate(training.rows):
        assert row.info["hint"] == f"hint {place}"
        assert [turn.sampled_tokens for turn in row.turns] == [
            len(tokens["said"]), len(tokens["said"]) + 1,
        ]  # fmt: skip
        assert row.evidence.trained_tokens == 2 * len(tokens["said"]) + 1
        assert row.evidence.ids_match  # with what the function reported
        (sequence,) = row.tokens.sequences
        roles = [span.role for span in sequence.spans]
        assert roles == ["prompt", "assistant", "environment", "assistant"]
        sampled = [value for value in sequence.sampler_logprobs if not math.isnan(value)]
        assert sampled == [-0.5] * row.evidence.sampled_tokens
        assert row.evidence.gap_mean > 0


def test_an_evaluation_is_recorded_apart_from_training(tmp_path):
    training = retrieving(
        tmp_path,
        eval_dataset=_evaluation(),
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=4,
        num_generations_eval=2,
        max_steps=2,
        log_token_details=True,
    )
    kinds = {mode: [row for row in training.rows if row.mode is mode] for mode in Mode}
    check_groups(kinds[Mode.TRAIN])
    assert len(kinds[Mode.TRAIN]) == 2 * 2 * GROUP
    evaluated = kinds[Mode.EVAL]
    assert {row.step for row in evaluated} == {1, 2}
    groups = {}
    for row in evaluated:
        groups.setdefault(row.group_id, []).append(row)
        assert row.advantage is None
        assert row.evidence.sampled_tokens > 0
        assert not any(row.tokens.sequences[0].loss_mask)
        assert all(turn.policy_version == row.step for turn in row.turns)
        assert not training.run.updates(row)
    assert len(groups) == 2 * 3
    assert all(len({row.example_id for row in group}) == 1 for group in groups.values())
    assert all(sorted(r.sample for r in group) == [0, 1] for group in groups.values())
    assert {row.example_id for row in evaluated}.isdisjoint(
        row.example_id for row in kinds[Mode.TRAIN]
    )
    logged = [row for row in training.run.metrics() if row.mode == "eval"]
    means = [sum(r.reward for r in evaluated if r.step == step) / 6 for step in (1, 2)]
    # TRL's own number is a mean of the means of batches of 4 and of 2 rollouts.
    assert [row.step for row in logged] == [1, 2]
    assert all(math.isfinite(mean) for mean in means)


def _evaluation():
    return musique(3, seed=99)


def test_an_evaluation_outside_of_training_continues_its_run(tmp_path):
    settings = {"eval_dataset": _evaluation(), "per_device_eval_batch_size": 4}
    before = retrieving(tmp_path, **settings)
    metrics = before.trainer.evaluate()
    assert math.isfinite(metrics["eval_reward"])
    rows = record_of(tmp_path)
    assert [row.mode for row in rows].count(Mode.EVAL) == 3 * GROUP
    assert rlvr.open_run(tmp_path).id == before.run.id


def test_a_training_that_goes_on_from_a_checkpoint_continues_its_run(tmp_path):
    settings = {"environment_factory": Retrieve, "save_strategy": "steps", "save_steps": 1}
    trainer(tmp_path, max_steps=1, **settings).train()
    first = rlvr.open_run(tmp_path)
    trainer(tmp_path, max_steps=2, **settings).train(resume_from_checkpoint=True)
    run = rlvr.open_run(tmp_path)
    assert run.id == first.id
    assert [(a.attempt, a.first_step) for a in run.attempts] == [(0, 0), (1, 1)]
    rows = record_of(tmp_path)
    check_groups(rows)
    assert [(row.attempt, row.step) for row in rows[:: 2 * GROUP]] == [(0, 0), (1, 1)]


def test_the_sampled_tokens_of_a_training_are_random_alike(tmp_path):
    states = []
    for number, recorded in enumerate((False, True)):
        retrieving_trainer = trainer(
            tmp_path / str(number), data=questions(), policy=demo_policy(), rewards=[value],
            log_full_trajectories=recorded,
        )  # fmt: skip
        retrieving_trainer.train()
        states.append(torch.random.get_rng_state())
    assert torch.equal(*states)
