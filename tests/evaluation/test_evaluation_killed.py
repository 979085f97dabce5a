"""kill -9 in the middle of an evaluation: what is on the disk is whole, and it goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rlvr

pytestmark = [pytest.mark.train, pytest.mark.slow]

CHILD = Path(__file__).with_name("killed_evaluation.py")


def start(folder, *arguments):
    paths = [str(CHILD.parent), str(CHILD.parent.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def recorded(folder):
    return list(rlvr.open_run(folder).trajectories()) if any(folder.rglob("*.parquet")) else []


def test_a_killed_evaluation_is_read_while_it_runs_and_goes_on_where_it_was(tmp_path):
    child = start(tmp_path)
    deadline = time.monotonic() + 120
    while len(recorded(tmp_path)) < 12 and time.monotonic() < deadline:  # read while it writes
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    run = rlvr.open_run(tmp_path)
    before = list(run.trajectories())
    assert 12 <= len(before) < 80
    assert run.damaged == ()
    counts = {row.example_id: 0 for row in before}
    for row in before:
        counts[row.example_id] += 1
    assert set(counts.values()) == {2}  # whole examples alone
    assert "killed" in run.status().text or not run.status().ranks[0].closed
    done = start(tmp_path, run.id)
    out, err = done.communicate(timeout=200)
    assert done.returncode == 0, err
    assert out.split() == [str(len(counts)), "80"]
    rows = recorded(tmp_path)
    assert len(rows) == 80
    assert len({(row.example_id, row.sample) for row in rows}) == 80
    assert {row.id for row in before} <= {row.id for row in rows}
