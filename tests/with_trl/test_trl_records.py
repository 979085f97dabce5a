"""TRL's trainer with its own tools: every rollout is recorded once, whole, as it was trained."""

import copy
import math
import sys
import types

import datasets
import pytest
import torch
from transformers import TrainerCallback
from trl import GRPOTrainer
from trl_trainings import (
    GROUP,
    check_groups,
    demo_policy,
    exact_match,
    fresh_logprobs,
    musique,
    retrieval_recall,
    retrieving,
    spoken,
    train,
    trainer,
)

import rlvr
from rlvr.capture.messages import freeze_messages
from rlvr.capture.trl_images import with_image_bytes
from rlvr.diagnosis import Fate, Severity
from rlvr.environments.musique.core.examples import parse_example
from rlvr.environments.musique.core.retrieval import make_retriever, search

pytestmark = pytest.mark.train

STEPS = 3


class Snapshots(TrainerCallback):
    """The weights at the beginning of each step."""

    def __init__(self):
        self.weights = []

    def on_step_begin(self, *_, model, **__):
        self.weights.append(copy.deepcopy(model.state_dict()))


def tools_over(data):
    """One function over the paragraphs of all rows."""
    retriever = make_retriever("lexical")
    examples = [parse_example(row["info"]) for row in data]

    def retrieve(query: str) -> str:
        """Find documents about one query.

        Args:
            query: a few words
        """
        example = examples[len(query) % len(examples)]
        return search(retriever, query, example, shown=(), top_k=1)

    return [retrieve]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    snapshots = Snapshots()
    data = musique()
    training = train(
        tmp_path_factory.mktemp("run"),
        data=data,
        tools=tools_over(data),
        max_steps=STEPS,
        log_token_details=True,
        callbacks=[snapshots],
        reward_weights=[0.8, 0.2],
        outcome="exact_match",
        dataset_spec="synthetic,seed-5,train[:24]",
    )
    return training, snapshots


def test_every_rollout_is_recorded_once_at_its_step(recorded):
    training, _ = recorded
    assert len(training.rows) == STEPS * 2 * GROUP
    assert sorted({(row.batch, row.step) for row in training.rows}) == [(0, 0), (1, 1), (2, 2)]
    assert all(row.mode == "train" and row.rank == 0 for row in training.rows)


def test_groups_are_whole_and_advantages_follow_from_their_rewards(recorded):
    training, _ = recorded
    groups = check_groups(training.rows)
    assert len(groups) == STEPS * 2
    assert any(row.advantage for row in training.rows)


def test_each_component_is_what_its_function_returned(recorded):
    training, _ = recorded
    for row in training.rows:
        assert [(c.name, c.weight) for c in row.components] == [
            ("exact_match", 0.8),
            ("retrieval_recall", 0.2),
        ]
        completion = [{"role": m.role, "content": m.content} for m in row.completion]
        for component, function in zip(
            row.components, (exact_match, retrieval_recall), strict=True
        ):
            (value,) = function([completion], [row.info])
            assert component.value == pytest.approx(value)
            assert component.duration_s is not None


def test_calls_and_their_results_are_paired_by_ids_that_trl_has_not(recorded):
    training, _ = recorded
    called = [row for row in training.rows if row.tool_calls]
    assert called
    for row in called:
        assert [r.call_id for r in row.tool_results] == [call.id for call in row.tool_calls]
        answers = {m.tool_call_id: m.content for m in row.completion if m.role == "tool"}
        for result in row.tool_results:
            assert answers[result.call_id] == result.result
            assert result.duration_s >= 0


def test_the_recorded_logprobs_and_entropies_are_those_of_that_steps_weights(recorded):
    training, snapshots = recorded
    model, _ = demo_policy()  # TRL's own model has another forward
    for row in training.rows:
        model.eval().load_state_dict(snapshots.weights[row.step])
        (sequence,) = row.tokens.sequences
        logprobs, entropies = fresh_logprobs(model, sequence.ids)
        prompt = row.evidence.trained_prompt_tokens
        assert all(map(math.isnan, list(sequence.trainer_logprobs)[:prompt]))
        assert list(sequence.trainer_logprobs)[prompt:] == pytest.approx(
            logprobs[prompt:], abs=2e-4
        )
        assert list(sequence.entropy)[prompt:] == pytest.approx(entropies[prompt:], abs=2e-3)


def test_the_loss_is_on_the_tokens_that_the_policy_wrote(recorded):
    training, _ = recorded
    texts = training.run.vocabulary()
    for row in training.rows:
        evidence = row.evidence
        assert evidence.ids_match
        assert evidence.attended_share == 1.0
        assert evidence.trained_tokens == sum(turn.sampled_tokens for turn in row.turns)
        assert evidence.sampled_untrained_tokens == evidence.trained_unsampled_tokens == 0
        (sequence,) = row.tokens.sequences
        spans = [span for span in sequence.spans if span.role == "assistant"]
        assert len(spans) == len(row.turns)
        messages = [m for m in row.completion if m.role == "assistant"]
        for span, message in zip(spans, messages, strict=True):
            said = "".join(texts[token] for token in list(sequence.ids)[span.start : span.stop])
            assert said.endswith("<|im_end|>")
            for call in message.tool_calls:
                assert call.arguments in said  # as written


def test_every_turn_says_its_policy_and_why_it_ended(recorded):
    training, _ = recorded
    for row in training.rows:
        assert all(turn.policy_version == row.step for turn in row.turns)
        reasons = ["tool_calls"] * (len(row.turns) - 1) + ["stop"]
        assert [turn.finish_reason for turn in row.turns] == reasons
        assert row.stop_reason == "finished"


def test_the_update_that_trained_a_rollout_is_recorded(recorded):
    training, _ = recorded
    for row in training.rows:
        (update,) = training.run.updates(row)
        assert (update.update, update.rank, update.micro_batches) == (row.step, 0, (0,))
        assert update.clipped_share == 0.0
        trained = [p for p, m in enumerate(row.tokens.sequences[0].loss_mask) if m]
        ours = [update.trainer_logprobs[0][place] for place in trained]
        assert ours == pytest.approx(
            [row.tokens.sequences[0].trainer_logprobs[place] for place in trained]
        )


def test_the_run_says_what_it_was_started_with(recorded):
    training, _ = recorded
    info = training.run.info
    assert info.trainer.endswith("RecordingGRPOTrainer")
    assert info.components == {"exact_match": 0.8, "retrieval_recall": 0.2}
    assert info.outcome == "exact_match"
    assert info.dataset == "synthetic,seed-5,train[:24]"
    assert [tool["function"]["name"] for tool in info.tools] == ["retrieve"]
    assert info.limits == {"max_completion_length": 200, "max_tool_calling_iterations": 4}
    assert info.sampling["temperature"] == 1.0
    assert info.num_generations == GROUP
    assert info.scale_rewards is True
    assert info.inference == "transformers"
    assert info.packages["trl"] == "1.16.0"
    assert "trl_trainings.exact_match" in info.scoring["scorers"]["exact_match"]
    assert "im_start" in info.chat_template


def test_what_trl_logs_is_recorded_too(recorded):
    training, _ = recorded
    logged = [row for row in training.run.metrics() if "loss" in row.values]
    assert [row.step for row in logged] == [1, 2, 3]
    mean = sum(row.reward for row in training.rows if row.step == 0) / (2 * GROUP)
    assert logged[0].values["reward"] == pytest.approx(mean, abs=1e-4)


def test_a_healthy_run_has_no_error_and_no_rollout_unverified(recorded):
    training, _ = recorded
    verdict = rlvr.diagnose(training.run)
    assert verdict.worst is not Severity.ERROR
    assert verdict.ledger.count(Fate.UNVERIFIED) == 0
    assert verdict.ledger.count(Fate.CORRUPTED) == 0


@pytest.mark.parametrize("details", [False, True])
def test_training_is_bit_for_bit_that_of_trl(tmp_path, details):
    weights = []
    for kind, options in ((GRPOTrainer, {}), (None, {"log_token_details": details})):
        data = musique()
        own = {"kind": kind} if kind else {}
        training = trainer(
            tmp_path / str(len(weights)),
            data=data,
            tools=tools_over(data),
            max_steps=2,
            **own,
            **options,
        )
        training.train()
        weights.append([p.detach().clone() for p in training.model.parameters()])
        weights[-1].append(torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_without_recording_nothing_is_written(tmp_path):
    training = trainer(tmp_path, log_full_trajectories=False)
    training.train()
    assert not (tmp_path / "rlvr").exists()


def test_an_environment_is_recorded_with_its_tools(tmp_path):
    training = retrieving(tmp_path)
    check_groups(training.rows)
    info = training.run.info
    assert info.environment == {"classes": {"": "trl_trainings.Retrieve"}}
    assert [tool["function"]["name"] for tool in info.tools] == ["retrieve"]
    assert {r.name for row in training.rows for r in row.tool_results} == {"retrieve"}
    assert all(row.example_id == row.info["id"] for row in training.rows)


class Counting:
    """An environment that shows a number and scores itself."""

    def reset(self, start, **_):
        self._count = start
        return f" Count from {start}."

    def up(self) -> str:
        """Count one up."""
        self._count += 1
        return str(self._count)

    def get_reward(self) -> float:
        return float(self._count)


class Guessing:
    """An environment that scores nothing."""

    def reset(self, **_):
        return None

    def guess(self, number: int) -> str:
        """Guess.

        Args:
            number: the guess
        """
        return "no"


def test_environments_of_several_kinds_are_recorded_each_with_its_own(tmp_path):
    rows = [
        {"prompt": [{"role": "user", "content": "Go."}], "environment": name, "start": 10 * place}
        for place, name in enumerate(["count", "guess"] * 4)
    ]

    def say(text):
        if "<|im_start|>tool\n" in text:
            return "Done."
        name, arguments = ("up", "{}") if "Count from" in text else ("guess", '{"number": 3}')
        return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'

    def silent(completions, **_):
        return [0.5] * len(completions)

    training = train(
        tmp_path,
        policy=spoken(say),
        rewards=[silent],
        data=datasets.Dataset.from_list(rows),
        environment_factory={"count": Counting, "guess": Guessing},
        shuffle_dataset=False,
    )
    info = training.run.info
    assert info.environment["classes"] == {
        "count": "test_trl_records.Counting",
        "guess": "test_trl_records.Guessing",
    }
    assert info.scoring["scorers"]["Counting"].startswith("test_trl_records.Counting.get_reward ")
    for row in training.rows:
        (result,) = row.tool_results
        counts = row.info["environment"] == "count"
        assert result.name == ("up" if counts else "guess")
        own = row.component("Counting")
        assert row.prompt[0].content == ("Go. Count from 0." if counts else "Go.")
        assert own.value == (float(result.result) if counts else None)
        assert own.status == ("ok" if counts else "not_applicable")


class StandIn:
    """What an image of PIL is to us: PIL itself is not among our packages."""

    def save(self, file, *, format, compress_level):
        assert (format, compress_level) == ("PNG", 1)
        file.write(b"the bytes")


def test_images_of_messages_are_kept_by_their_hash(monkeypatch):
    module = types.ModuleType("PIL.Image")
    module.Image = StandIn
    monkeypatch.setitem(sys.modules, "PIL.Image", module)
    image = StandIn()
    parts = [{"type": "image", "image": image}, {"type": "text", "text": "What is it?"}]
    message = {"role": "user", "content": parts}
    blobs = []
    (frozen,) = freeze_messages(with_image_bytes([message]), role="user", blobs=blobs)
    assert message["content"][0]["image"] is image
    assert [part.type for part in frozen.parts] == ["image", "text"]
    assert frozen.parts[0].blob == blobs[0].sha256
    assert (blobs[0].data, blobs[0].media_type) == (b"the bytes", "image/png")
