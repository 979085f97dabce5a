"""The record alone gives back every loss that was trained on, and the weights every logprob."""

import math
import os
import subprocess
from pathlib import Path
from statistics import fmean

import pytest
import torch
from transformers import TrainerCallback
from verifiers.trainers import grpo_trainer
from verifiers.trainers.grpo_trainer import GRPOTrainer

import rlvr
from forgetting import forgetting
from losses import logged, micro_batches
from rlvr.demo.policy import load_policy
from rlvr.record import UPDATE_EVIDENCE
from rlvr.trainers import shims
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
from rlvr.trainers.updates import ROW_NUMBERS
from trainings import demo_policy, questions, record_of, train
from warm import warm_python, warm_ranks

pytestmark = [
    pytest.mark.train,
    # verifiers builds its reference model by TRL's old name.
    pytest.mark.filterwarnings("ignore:The `create_reference_model` function:FutureWarning"),
]

UPDATES = 4
LOSSES = {
    "grpo": {"loss_type": "grpo", "beta": 0.1, "scale_rewards": True},
    "bnpo": {"loss_type": "bnpo", "beta": 0.1, "epsilon_high": 0.01},
    "dr_grpo": {"loss_type": "dr_grpo", "beta": 0.1, "delta": 1.001},
    "without a reference": {"loss_type": "bnpo", "beta": 0.0},
    "trained once": {"loss_type": "bnpo", "beta": 0.1, "num_iterations": 1},
    "as shipped": {"loss_type": "grpo", "beta": 0.1, "repairs": "generation_errors"},
}


@pytest.fixture(scope="module", params=LOSSES)
def training(request, tmp_path_factory):
    chosen = {
        "num_iterations": 2,
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 4,
        "epsilon": 0.005,
        "learning_rate": 3e-4,
        "max_steps": UPDATES,
        "save_strategy": "steps",
        "save_steps": 1,
        "temperature": 0.9,
    }
    return train(
        tmp_path_factory.mktemp("run"),
        policy=demo_policy(),
        environment=questions(),
        log_token_details=True,
        **(chosen | LOSSES[request.param]),
    )


def assert_losses_follow(run):
    """Every update's loss, KL and clipping follow from the record, as far as they were logged."""
    rows = {row.step: row.values for row in run.metrics() if "loss" in row.values}
    batches = micro_batches(run)
    assert sorted(batches) == sorted(step - 1 for step in rows)
    for update, found in batches.items():
        for name, value in logged(run, found).items():
            said = rows[update + 1][name]
            assert value == pytest.approx(said, rel=1e-4, abs=1e-6), (update, name)
    return batches


def test_every_loss_follows_from_the_record_alone(training):
    batches = assert_losses_follow(training.run)
    assert len(batches) == UPDATES
    assert all(len(found) == 2 for found in batches.values())  # gradient accumulation


def test_the_clipped_share_is_that_of_the_trained_tokens(training):
    shares = []
    for trajectory in training.run.trajectories():
        updates = training.run.updates(trajectory)
        assert [update.update for update in updates] == [
            trajectory.step + at for at in range(training.trainer.num_iterations)
        ]
        assert updates[0].clipped_share == 0.0
        mean = fmean(update.clipped_share for update in updates)
        assert trajectory.evidence.clipped_share == pytest.approx(mean)
        shares += [update.clipped_share for update in updates[1:]]
    if training.trainer.num_iterations > 1:
        assert 0 < max(shares) < 1
    table = training.run.to_arrow(["clipped_share"])
    read = [t.evidence.clipped_share for t in training.run.trajectories()]
    assert table["clipped_share"].to_pylist() == read


def test_the_weights_of_an_update_give_its_logprobs_from_the_recorded_context(training):
    run = training.run
    for trajectory in run.trajectories(step=0):
        for update in run.updates(trajectory):
            folder = training.folder / f"checkpoint-{update.update}"
            model = training.trainer.model.from_pretrained(folder) if update.update else initial()
            for sequence, trained in zip(
                trajectory.tokens.sequences, update.trainer_logprobs, strict=True
            ):
                found = logprobs(model, sequence, run.info.config["temperature"])
                masked = [at > 0 and bool(m) for at, m in enumerate(sequence.loss_mask)]
                assert close(found, trained, masked)
                assert [not math.isnan(value) for value in trained] == masked
                if not update.update:
                    assert close(found, sequence.trainer_logprobs, [False, *masked[1:]])
                    assert close(found, sequence.trainer_logprobs, [True] * len(found))


def test_the_reference_is_the_policy_that_training_began_with(training):
    for trajectory in training.run.trajectories(step=0):
        for sequence in trajectory.tokens.sequences:
            if not training.trainer.beta:
                assert sequence.reference_logprobs is None
                continue
            masked = [at > 0 and bool(m) for at, m in enumerate(sequence.loss_mask)]
            assert close(sequence.reference_logprobs, sequence.trainer_logprobs, masked)


def initial():
    return load_policy()[0]


def logprobs(model, sequence, temperature):
    """Of each token, NaN for the first, in the context that attention was given."""
    ids = torch.tensor([sequence.ids])
    with torch.no_grad():
        logits = model(ids, attention_mask=torch.tensor([sequence.attended])).logits
    every = (logits[0, :-1] / temperature).log_softmax(-1)
    return [math.nan, *every.gather(1, ids[0, 1:, None])[:, 0].tolist()]


def close(found, recorded, where):
    pairs = [(f, r) for f, r, here in zip(found, recorded, where, strict=True) if here]
    return all(
        (math.isnan(f) and math.isnan(r)) or f == pytest.approx(r, abs=2e-5, rel=1e-4)
        for f, r in pairs
    )


def test_sequences_of_restarted_histories_are_in_the_loss_that_follows(tmp_path):
    forgetful = forgetting(
        tmp_path,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=4,
        num_iterations=2,
        max_steps=2,
        beta=0.1,
        learning_rate=1e-4,
        epsilon=0.001,
        scale_rewards=True,
    )
    forgetful.train()
    record_of(tmp_path)
    batches = assert_losses_follow(rlvr.open_run(tmp_path))
    assert [len(rows) for found in batches.values() for rows in found.values()] == [8] * 4


def test_without_token_details_the_share_that_was_clipped_is_recorded_still(tmp_path):
    run = train(
        tmp_path,
        policy=demo_policy(),
        environment=questions(),
        num_iterations=2,
        max_steps=2,
        epsilon=0.001,
        learning_rate=3e-4,
        beta=0.1,
    ).run
    rows = {row.step: row.values for row in run.metrics() if "loss" in row.values}
    found = [run.updates(trajectory) for trajectory in run.trajectories()]
    assert all(len(updates) == 2 for updates in found)
    for updates in found:
        assert all(update.trainer_logprobs is None for update in updates)
    tokens = [t.evidence.trained_tokens for t in run.trajectories()]
    for at in (0, 1):
        for name, logged_as in (("clipped_share", "clip_ratio/region_mean"), ("kl_mean", "kl")):
            values = [getattr(updates[at], name) for updates in found]
            mean = sum(v * n for v, n in zip(values, tokens, strict=True)) / sum(tokens)
            assert mean == pytest.approx(rows[at + 1][logged_as], rel=1e-4, abs=1e-7)
    assert {note.kind for note in run.annotations()} == {"update_evidence"}


class Compared(EnhancedGRPOTrainer):
    """Holds every gradient of a recorded training beside that of the library's own loss."""

    def __init__(self, *args, **options):
        self.compared = []
        for callback in options.get("callbacks") or ():
            callback.trainer = self
        super().__init__(*args, **options)

    def compute_loss(self, model, inputs, *args, **options):
        bare = {name: tensor for name, tensor in inputs.items() if name != ROW_NUMBERS}
        losses = [
            super().compute_loss(model, inputs, *args, **options),
            GRPOTrainer.compute_loss(self, model, bare, *args, **options),
        ]
        weights = list(model.parameters())
        gradients = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in losses]
        same = all(torch.equal(ours, theirs) for ours, theirs in zip(*gradients, strict=True))
        moved = any(gradient.any() for gradient in gradients[0])
        self.compared.append((same, moved))
        return losses[0]


def compared(folder, **options):
    """Three updates of two micro-batches each, with sequences of restarted histories."""
    training = forgetting(
        folder,
        kind=Compared,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=4,
        num_iterations=2,
        max_steps=3,
        beta=0.1,
        **options,
    )
    training.train()
    assert training.compared == [(True, True)] * 6
    assert len(record_of(folder)) == 16
    return training


@pytest.mark.parametrize("repairs", ["all", "none"])
def test_recording_changes_no_gradient(tmp_path, repairs):
    compared(tmp_path, repairs=repairs)
    assert len(rlvr.open_run(tmp_path).annotations(kind=UPDATE_EVIDENCE)) == 8 * 2 + 8


def test_a_batch_is_shuffled_as_ever_where_its_rows_are_numbered():
    ids = torch.arange(24).reshape(12, 2)
    torch.manual_seed(3)
    shuffled = grpo_trainer.shuffle_tensor_dict({"input_ids": ids})
    torch.manual_seed(3)
    with shims.rows_numbered("place"):
        numbered = grpo_trainer.shuffle_tensor_dict({"input_ids": ids})
    assert torch.equal(shuffled["input_ids"], numbered["input_ids"])
    assert torch.equal(ids[numbered["place"]], numbered["input_ids"])
    assert list(grpo_trainer.shuffle_tensor_dict({"input_ids": ids})) == ["input_ids"]


class MiscountsRows(TrainerCallback):
    """Numbers the rows of what is still to be trained as if there were more of them."""

    trainer = None

    def on_substep_end(self, *_, **__):
        for chunk in self.trainer._buffered_inputs:
            chunk[ROW_NUMBERS] += 1_000


def test_an_update_that_can_not_be_recorded_costs_its_evidence_only(tmp_path, caplog, capfd):
    callback = MiscountsRows()
    compared(tmp_path, callbacks=[callback])
    said = [entry.getMessage() for entry in caplog.records if entry.exc_info]
    assert len(said) == 1
    assert "Evidence of an update is missing" in said[0]
    assert "evidence of 4 micro-batches is missing" in capfd.readouterr().err


@pytest.mark.slow
def test_two_processes_leave_every_token_of_both_in_the_record(tmp_path):
    script = Path(__file__).parent / "two_processes_tokens.py"
    done = subprocess.run(
        [warm_python(), "-m", "torch.distributed.run", "--nproc-per-node=2",
         "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", str(script), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
             "PYTHONPATH": str(script.parent.parent), **warm_ranks()},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    run = rlvr.open_run(tmp_path)
    assert run.info.world_size == 2
    batches = assert_losses_follow(run)
    assert sorted(batches[1]) == [(rank, micro) for rank in (0, 1) for micro in (0, 1)]
    rollouts = list(run.trajectories())
    assert {update.rank for t in rollouts for update in run.updates(t)} == {0, 1}
    for trajectory in rollouts:
        assert len(trajectory.tokens.sequences) == 2
        for sequence in trajectory.tokens.sequences:
            for name in ("attended", "trainer_logprobs", "reference_logprobs", "entropy"):
                assert len(getattr(sequence, name)) == len(sequence.ids), name
            assert set(sequence.attended) == {1}
    last = rollouts[-1]
    assert repr(run.trajectory(last.id)) == repr(last)
    assert repr(last) in map(repr, run.group(last.group_id))
