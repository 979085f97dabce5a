"""Whatever fails while a batch is captured, TRL trains on, and what is lost is counted."""

import pytest
import torch
from trl import GRPOTrainer
from trl_trainings import Retrieve, check_groups, record_of, retrieving, trainer

import rlvr
from rlvr.capture.trl import GenerationCapture
from rlvr.capture.trl_rollout import RolloutUnderWay
from rlvr.trainers.trl_record import SlicedRecord

pytestmark = pytest.mark.train

STEPS = 2


def weights_of(folder, **options):
    training = trainer(folder, environment_factory=Retrieve, max_steps=STEPS, **options)
    training.train()
    return [parameter.detach().clone() for parameter in training.model.parameters()]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return weights_of(tmp_path_factory.mktemp("plain"), kind=GRPOTrainer)


def broken(*_, **__):
    raise RuntimeError("on purpose")


STEPS_OF_CAPTURE = (
    (GenerationCapture, "answered"),
    (GenerationCapture, "follow_messages"),
    (GenerationCapture, "tools_done"),
    (GenerationCapture, "completed"),
    (GenerationCapture, "batch"),
    (SlicedRecord, "train_on"),
)


@pytest.mark.parametrize(("owner", "step"), STEPS_OF_CAPTURE)
def test_a_batch_that_can_not_be_captured_is_counted_and_trained(
    tmp_path, monkeypatch, capfd, plain, owner, step
):
    monkeypatch.setattr(owner, step, broken)
    ours = weights_of(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))
    assert not list(rlvr.open_run(tmp_path).trajectories())
    lost = STEPS * 8
    assert f"{lost} LOST (0 dropped, {lost} failed)" in capfd.readouterr().err


def test_a_call_that_can_not_be_noted_is_executed_all_the_same(tmp_path, monkeypatch, plain):
    monkeypatch.setattr(RolloutUnderWay, "begin", broken)
    ours = weights_of(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))
    check_groups(record_of(tmp_path))


def test_updates_that_can_not_be_noted_are_counted(tmp_path, monkeypatch, capfd, plain):
    monkeypatch.setattr(SlicedRecord, "_annotate_forwards", broken)
    ours = weights_of(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))
    check_groups(record_of(tmp_path))
    assert f"evidence of {STEPS} micro-batches is missing" in capfd.readouterr().err


def test_after_a_lost_batch_the_next_one_has_its_own_number(tmp_path, monkeypatch):
    whole, calls = GenerationCapture.batch, iter(range(10))

    def sometimes(self, *args, **kwargs):
        return broken() if next(calls) == 0 else whole(self, *args, **kwargs)

    monkeypatch.setattr(GenerationCapture, "batch", sometimes)
    training = retrieving(tmp_path, max_steps=3)
    assert sorted({(row.batch, row.step) for row in training.rows}) == [(1, 1), (2, 2)]
    for row in training.rows:
        assert [update.update for update in training.run.updates(row)] == [row.step]


def test_a_generation_that_fails_is_recorded_as_far_as_it_came(tmp_path, monkeypatch):
    ends = RuntimeError("the sampler is gone")
    turns = iter(range(100))
    whole = GRPOTrainer._generate_single_turn

    def once(self, *args, **kwargs):
        if next(turns) == 1:
            raise ends
        return whole(self, *args, **kwargs)

    training = trainer(tmp_path, environment_factory=Retrieve)
    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", once)
    with pytest.raises(RuntimeError, match="the sampler is gone"):
        training.train()
    rows = record_of(tmp_path)
    assert len(rows) == 8
    for row in rows:
        assert row.stop_reason == "error"
        assert row.errors[0].where == "generation"
        assert len(row.turns) == 1
        assert row.prompt
        assert row.completion[0].role == "assistant"
        assert row.advantage is None


def test_a_store_that_can_not_be_opened_stops_the_run_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    training = trainer(tmp_path, record_to=tmp_path / "file", environment_factory=Retrieve)
    with pytest.raises(rlvr.errors.StoreError):
        training.train()
    assert training.state.global_step == 0
