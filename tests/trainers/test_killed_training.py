"""A training that is killed leaves a run that can be read, with every batch that was committed."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import rlvr
from warm import warm_python

SCRIPT = Path(__file__).parent / "killed_run.py"
pytestmark = [pytest.mark.train, pytest.mark.slow]


def test_a_killed_training_leaves_every_committed_batch(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parent.parent)}
    done = subprocess.run(
        [warm_python(), str(SCRIPT), str(tmp_path), "3"],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr[-4000:]
    assert "True" in done.stdout.splitlines()  # three batches were on disk
    run = rlvr.open_run(tmp_path)
    steps = Counter(t.step for t in run.trajectories())
    assert {step: steps[step] for step in range(3)} == {0: 8, 1: 8, 2: 8}
    assert set(steps.values()) == {8}
    assert not run.damaged
    assert run.info.repairs["attention"] is True
    (rank,) = run.status().ranks
    assert rank.recorded >= 24
    assert all(t.evidence.ids_match and t.advantage is not None for t in run.trajectories())
