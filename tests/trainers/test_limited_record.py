"""A training whose record must stay small."""

import pytest

from rlvr.errors import ConfigurationError
from rlvr.trainers.options import TrainingOptions
from trainings import GROUP, trainer

pytestmark = pytest.mark.train
STEPS = 6
ROWS = 2 * GROUP


@pytest.mark.parametrize(("limit_kb", "fits"), [(120, True), (60, False)])
def test_training_goes_on_whether_or_not_its_record_fits(tmp_path, capsys, limit_kb, fits):
    import rlvr

    trained = trainer(
        tmp_path,
        say=lambda _: "1",
        max_steps=STEPS,
        log_token_details=True,
        record_max_gb=limit_kb / 1e6,
    )
    trained.train()
    assert trained.state.global_step == STEPS
    run = rlvr.open_run(tmp_path)
    assert run.size_bytes <= limit_kb * 1000
    status = run.status()
    rows = list(run.trajectories())
    assert len(rows) + status.dropped == STEPS * ROWS
    assert (status.dropped == 0) is fits
    assert ("LOST" in capsys.readouterr().err) is not fits
    assert [row.tokens is None for row in rows[:ROWS]] == [True] * ROWS
    assert rows[-1].tokens is not None
    assert f"to keep the limit of {limit_kb} kB" in run.pruning().sentences[0]
    assert len(run.metrics()) >= STEPS


def test_a_limit_of_nothing_is_refused_before_the_first_step(tmp_path):
    refused = trainer(tmp_path, say=lambda _: "1", record_max_gb=0.0)
    with pytest.raises(ConfigurationError, match="max_bytes=0"):
        refused.train()
    assert refused.state.global_step == 0


def test_the_scripts_have_a_flag_for_it():
    assert TrainingOptions(record_max_gb=1.5).recording()["record_max_gb"] == 1.5
