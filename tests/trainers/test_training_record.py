"""What a trainer's record does with a batch that can't be recorded."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import rlvr
from rlvr.capture.evidence import Forward
from rlvr.capture.rollout import BatchCapture, RolloutCapture
from rlvr.capture.sequences import SampledTurn, TokenRow
from rlvr.record import FORWARD_EVIDENCE, Mode, RunInfo
from rlvr.trainers.training_record import TrainingRecord


@pytest.mark.train
def test_a_batch_that_can_not_become_records_is_counted_and_never_stops_training(
    tmp_path, capfd, caplog
):
    accelerator = SimpleNamespace(is_main_process=True, num_processes=1, process_index=0)
    state = SimpleNamespace(global_step=0)
    trainer = SimpleNamespace(accelerator=accelerator, state=state, num_generations=2)
    record = TrainingRecord(trainer, output_dir=tmp_path, enabled=True, token_details_every=0)
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


@pytest.mark.train
def test_evidence_that_can_not_be_computed_is_said_and_never_stops_training(tmp_path, caplog):
    accelerator = SimpleNamespace(is_main_process=True, num_processes=1, process_index=0)
    trainer = SimpleNamespace(accelerator=accelerator, state=SimpleNamespace(global_step=0))
    record = TrainingRecord(trainer, output_dir=tmp_path, enabled=True, token_details_every=0)
    record.open(lambda run: RunInfo(run=run or "", created_at=0.0), sinks=())
    row = TokenRow(prompt_tokens=1)
    row.extend_context([1])
    row.extend_sampled(0, SampledTurn(prompt_ids=[1], sampled_ids=[2], logprobs=[-1.0]))
    seen = Forward(
        attended=np.ones(2, dtype=np.int8), logprobs=np.array([np.nan, -1.5], dtype=np.float32)
    )
    torn = replace(seen, attended=np.ones(2, dtype=np.int8), logprobs=None)
    record.forwards({0: ([row], [torn])})
    record.forwards({0: ([row], [seen]), 1: ([row], [None])})
    record.close()
    (said,) = [entry.getMessage() for entry in caplog.records if entry.exc_info]
    assert "Token evidence of 1 rollouts is missing" in said
    notes = rlvr.open_run(tmp_path).annotations(kind=FORWARD_EVIDENCE)
    forwards = {note.id: note.payload for note in notes}
    assert list(forwards) == ["train-s000000-b000001-a00-r000-00000"]
    (payload,) = forwards.values()
    assert (payload["gap_mean"], payload["attended_share"]) == (0.5, 1.0)
