"""The diagnosis as options of the training script."""

import os
import subprocess
from pathlib import Path

import pytest

import rlvr
from rlvr.errors import ConfigurationError
from rlvr.trainers.options import TrainingOptions
from warm import warm_python

ROOT = Path(__file__).parents[2]


def test_by_default_a_run_is_diagnosed_and_never_stopped():
    assert TrainingOptions().diagnosis() == {"every": 50, "stop_without_signal": 0}


@pytest.mark.parametrize("off", [{"diagnose_every": 0}, {"log_full_trajectories": False}], ids=str)
def test_nothing_is_diagnosed_without_a_record_or_when_switched_off(off):
    assert TrainingOptions(**off).diagnosis() is None
    with pytest.raises(ConfigurationError, match="--stop-without-signal needs"):
        TrainingOptions(**off, stop_without_signal=3).diagnosis()


@pytest.mark.train
@pytest.mark.slow
def test_the_script_says_what_is_wrong_and_stops(tmp_path):
    done = subprocess.run(
        [
            warm_python(), str(ROOT / "scripts" / "train_musique.py"), "train",
            "--model", "demo", "--datasets", "synthetic,seed-3,train[:64]",
            "--inference", "embedded", "--prompt-style", "brief", "--max-turns", "5",
            "--max-tokens", "48", "--max-seq-len", "512", "--batch-size", "8",
            "--gradient-accumulation-steps", "1", "--num-generations", "4", "--report-to", "none",
            "--no-gradient-checkpointing", "--save-steps", "0", "--output-dir", str(tmp_path),
            "--repairs", "generation_errors", "--max-steps", "12",
            "--diagnose-every", "2", "--stop-without-signal", "1",
        ],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert "diagnosis at step 2: error: " in done.stderr
    assert "training stops at step 4: 1 diagnoses in a row" in done.stderr
    assert rlvr.open_run(tmp_path).steps("train") == [0, 1, 2, 3]
