"""What the trainer runs forward and backward, with each repair on and with only it off."""

import math
from statistics import fmean

import pytest
import torch

from trainings import demo_policy, questions, train

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One recorded step of the demo's policy, for each choice of repairs, made when asked for."""
    made = {}

    def training(repairs):
        if repairs not in made:
            made[repairs] = train(
                tmp_path_factory.mktemp("run"),
                policy=demo_policy(),
                environment=questions(),
                repairs=repairs,
                log_token_details=True,
                per_device_train_batch_size=16,
                mask_env_responses=True,
            )
        return made[repairs]

    return training


def several_turns(training):
    found = [t for t in training.run.trajectories() if len(t.turns) > 1]
    assert found
    return found


def in_one_sequence(training):
    """Several turns whose history was never re-tokenised, as a malformed call's may be."""
    found = [t for t in several_turns(training) if len(t.tokens.sequences) == 1]
    assert found
    return found


def gap(training):
    """Mean |trainer - sampler| logprob over all sampled tokens of trajectories with many turns."""
    pairs = [
        (t.evidence.gap_mean, sum(t.evidence.gap_tokens_by_turn)) for t in several_turns(training)
    ]
    return sum(mean * count for mean, count in pairs) / sum(count for _, count in pairs)


def rendered(training, trajectory, tools):
    messages = [{"role": m.role, "content": m.content} for m in trajectory.prompt]
    return training.trainer.processing_class.apply_chat_template(
        messages, tools=tools, add_generation_prompt=True
    )


@pytest.mark.parametrize(("repairs", "moves"), [("all", True), ("all,-attention", False)])
def test_the_prompt_reaches_the_trained_tokens(trained, repairs, moves):
    training = trained(repairs)
    (sequence,) = in_one_sequence(training)[0].tokens.sequences
    ids = torch.tensor([sequence.ids, sequence.ids])
    (prompt,) = [span for span in sequence.spans if span.role == "prompt"]
    header = 3  # what asks for an answer stays: the first sampled token is predicted from it
    ids[1, : prompt.stop - header] = ids[1, : prompt.stop - header].flip(0)
    loss_mask = torch.tensor([sequence.loss_mask] * 2)
    with torch.no_grad():
        logprobs = training.trainer._get_per_token_logps(
            training.trainer.model, ids, loss_mask, ids.shape[1] - 1
        )
    moved = (logprobs[0] - logprobs[1]).abs()[loss_mask[0, 1:] > 0].max().item()
    print(f"{repairs}: another prompt moves a trained token's logprob by up to {moved:.4f}")
    assert moved > 0.1 if moves else moved == 0.0


@pytest.mark.parametrize(
    ("repairs", "share"), [("all", 1.0), ("all,-attention", pytest.approx(0.4, abs=0.25))]
)
def test_the_record_says_how_much_was_attended(trained, repairs, share):
    shares = [t.evidence.attended_share for t in trained(repairs).run.trajectories()]
    assert fmean(shares) == share


@pytest.mark.parametrize(("repairs", "same"), [("all", True), ("all,-tool_schemas", False)])
def test_the_trained_prompt_is_the_served_one(trained, repairs, same):
    training = trained(repairs)
    tools = training.trainer.env.oai_tools
    for trajectory in training.run.trajectories():
        sequence = trajectory.tokens.sequences[0]
        prompt = list(sequence.ids[: trajectory.evidence.trained_prompt_tokens])
        assert prompt == rendered(training, trajectory, tools if same else None)
        assert trajectory.evidence.served_prompt_tokens == len(
            rendered(training, trajectory, tools)
        )
        assert trajectory.evidence.ids_match is same
    figures = trajectory.evidence
    print(f"{repairs}: {figures.trained_prompt_tokens} of {figures.served_prompt_tokens} tokens")


@pytest.mark.parametrize(("repairs", "same"), [("all", True), ("all,-sampled_tokens", False)])
def test_the_trained_tokens_are_the_served_and_sampled_ones(trained, repairs, same):
    training = trained(repairs)
    tools = training.trainer.env.oai_tools
    header = training.trainer.processing_class.encode("<|im_start|>assistant\n")
    for trajectory in in_one_sequence(training):
        (sequence,) = trajectory.tokens.sequences
        assert trajectory.evidence.ids_match is same
        assert list(sequence.ids[: trajectory.turns[0].prompt_tokens]) == rendered(
            training, trajectory, tools
        )
        later = [span for span in sequence.spans if span.role == "assistant"][1:]
        assert len(later) == len(trajectory.turns) - 1
        for span, turn in zip(later, trajectory.turns[1:], strict=True):
            assert (span.start == turn.prompt_tokens) is same
            assert (list(sequence.ids[span.start - len(header) : span.start]) == header) is same


def test_trainer_and_sampler_agree_on_every_sampled_token(trained):
    # Without this one, a call that does not parse would end the training.
    shipped = "generation_errors"
    gaps = {repairs: gap(trained(repairs)) for repairs in ("all", "all,-sampled_tokens", shipped)}
    print("mean |trainer - sampler| in nats, several turns:", gaps)
    assert gaps["all"] < 1e-4
    assert gaps["all,-sampled_tokens"] > 0.1
    assert gaps[shipped] > 0.3


def test_recorded_logprobs_belong_to_their_rows_despite_the_shuffle(trained):
    training = trained("all")
    model = demo_policy()[0].eval()
    for sequence in (s for t in training.run.trajectories() for s in t.tokens.sequences):
        with torch.no_grad():
            logits = model(torch.tensor([sequence.ids])).logits[0, :-1].log_softmax(-1)
        expected = logits[torch.arange(len(logits)), torch.tensor(sequence.ids[1:])]
        assert math.isnan(sequence.trainer_logprobs[0])
        recorded = torch.tensor(sequence.trainer_logprobs[1:])
        assert torch.allclose(recorded, expected, atol=1e-4)
        entropy = -(logits.exp() * logits).sum(-1)
        assert torch.allclose(torch.tensor(sequence.entropy[1:]), entropy, atol=1e-4)


def test_the_sampled_tokens_carry_the_loss_and_nothing_else_does(trained):
    for trajectory in trained("all").run.trajectories():
        carrying = 0
        for sequence in trajectory.tokens.sequences:
            sampled = [
                place
                for span in sequence.spans
                if span.role == "assistant"
                for place in range(span.start, span.stop)
            ]
            assert [place for place, mask in enumerate(sequence.loss_mask) if mask] == sampled
            carrying += len(sampled)
        assert carrying == sum(turn.sampled_tokens for turn in trajectory.turns)


def test_as_shipped_the_record_counts_what_attention_hid_and_where_the_ids_depart(trained):
    for trajectory in trained("generation_errors").run.trajectories():
        evidence, (sequence,) = trajectory.evidence, trajectory.tokens.sequences
        hidden = {"prompt": 0, "environment": 0, "assistant": 0}
        for span in sequence.spans:
            hidden[span.role] += sequence.attended[span.start : span.stop].count(0)
        assert evidence.unattended_prompt_tokens == hidden["prompt"] > 0
        assert evidence.unattended_environment_tokens == hidden["environment"]
        assert evidence.unattended_sampled_tokens == hidden["assistant"] == 0
        (expected,) = trajectory.tokens.expected_ids[:1]
        at = evidence.mismatch_token
        assert tuple(expected[:at]) == tuple(sequence.ids[:at])
        assert expected[at] != sequence.ids[at]
        assert (evidence.mismatch_sequence, evidence.mismatch_turn) == (0, 0)


def test_repaired_nothing_is_hidden_and_nothing_departs(trained):
    for trajectory in trained("all").run.trajectories():
        evidence = trajectory.evidence
        assert evidence.unattended_prompt_tokens == evidence.unattended_environment_tokens == 0
        assert evidence.mismatch_token is None
        assert trajectory.tokens.expected_ids is None
