"""Where TRL's own table of completions ends the training, ours is written and training goes on."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from trl_trainings import record_of

from warm import warm_python

pytestmark = [pytest.mark.train, pytest.mark.slow]

HERE = Path(__file__).parent


def run(folder, kind, case):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }
    done = subprocess.run(
        [warm_python(), str(HERE / "trl_wandb.py"), kind, case],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done


CASES = {
    "one tool": "TypeError",
    "mixed types": "ArrowInvalid",
    "no arguments": "ArrowNotImplementedError",
}


@pytest.mark.parametrize("case", CASES)
def test_trls_own_table_still_ends_the_training(tmp_path, case):
    """Where this fails, TRL has mended it, and the docs should say so."""
    assert run(tmp_path, "trl", case).stdout.splitlines()[-1] == CASES[case]


@pytest.mark.parametrize("case", CASES)
def test_ours_is_logged_and_training_goes_on(tmp_path, case):
    done = run(tmp_path, "ours", case)
    assert done.stdout.splitlines()[-1] == "trained"
    assert done.stderr.count("rlvr: log_completions is off") == 1
    tables = list(tmp_path.glob("wandb/offline-run-*/files/media/table/full_trajectories_*.json"))
    logged = [json.loads(table.read_text()) for table in tables]
    assert any("Reward_<lambda>" in table["columns"] for table in logged)
    rows = record_of(tmp_path)
    assert len(rows) == 16
    assert all(row.tool_results[0].error is None for row in rows)
