"""kill -9 and a full disk in the middle of an evaluation: what is there is whole; it goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rlvr

pytestmark = [pytest.mark.train, pytest.mark.slow]

HERE = Path(__file__).parent


def start(folder, *arguments, child="killed_evaluation.py"):
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(HERE / child), str(folder), *arguments],
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


def test_an_evaluation_ends_when_its_record_can_not_be_written_and_says_how_to_go_on(tmp_path):
    child = start(tmp_path, child="full_disk_evaluation.py")
    out, err = child.communicate(timeout=200)
    assert child.returncode == 0, err
    said, asked = out.splitlines()
    run = rlvr.open_run(tmp_path)
    before = list(run.trajectories())
    assert 4 <= len(before) <= 12
    assert said.startswith("StoreError")
    assert "File too large" in said
    assert f"{len(before)} of 8,000 rollouts are recorded" in said
    assert f"--resume {run.id}" in said
    assert int(asked) < 8000  # it did not go on to the end
