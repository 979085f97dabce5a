"""What a trainer's record does with a batch that can't be recorded."""

from types import SimpleNamespace

import pytest

import rlvr
from rlvr.capture.rollout import BatchCapture, RolloutCapture
from rlvr.record import Mode, RunInfo
from rlvr.trainers.training_record import TrainingRecord


@pytest.mark.train
def test_a_batch_that_can_not_become_records_is_counted_and_never_stops_training(
    tmp_path, capfd, caplog
):
    accelerator = SimpleNamespace(is_main_process=True, num_processes=1, process_index=0)
    state = SimpleNamespace(global_step=0)
    trainer = SimpleNamespace(accelerator=accelerator, state=state, num_generations=2)
    record = TrainingRecord(trainer, output_dir=tmp_path, enabled=True, keep_tokens=False)
    record.open(lambda run: RunInfo(run=run or "", created_at=0.0), sinks=())
    broken = BatchCapture(rollouts=[RolloutCapture(), None])  # type: ignore[list-item]
    sound = BatchCapture(rollouts=[RolloutCapture(answer="a"), RolloutCapture(answer="b")])
    record.batch(broken, Mode.TRAIN)
    record.batch(broken, Mode.TRAIN)
    record.batch(sound, Mode.TRAIN)
    record.close()
    assert [found.answer for found in rlvr.open_run(tmp_path).trajectories()] == ["a", "b"]
    said = capfd.readouterr().err
    assert "2 trajectories recorded" in said
    assert "4 LOST (0 dropped, 4 failed)" in said
    tracebacks = [entry for entry in caplog.records if entry.exc_info]
    assert len(tracebacks) == 1
    assert "2 rollouts are not recorded" in tracebacks[0].getMessage()
