import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlvr.runs import open_run

CHILD = Path(__file__).with_name("recording_child.py")
KILLS = 20


def start(*arguments):
    path = os.pathsep.join([str(CHILD.parent.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(CHILD), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def kill_after(child, seconds):
    """Lines that the child wrote; it is killed `seconds` after its first one."""
    first = child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL
    return [line for line in (first + rest).split("\n")[:-1] if line]


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_every_file_readable_and_every_flushed_batch_there(tmp_path):
    moments = random.Random(0)
    acknowledged = set()
    for _ in range(KILLS):
        acknowledged.update(kill_after(start(tmp_path, "run"), moments.uniform(0, 0.3)))
        run = open_run(tmp_path)
        assert run.damaged == ()
    rows = list(run.trajectories(superseded=True))
    assert acknowledged
    assert acknowledged <= {row.id for row in rows}
    assert all(row.completion and row.reward is not None for row in rows)
    assert [attempt.attempt for attempt in run.attempts] == list(range(KILLS))
    status = run.status()
    assert status.recorded == len(rows)
    assert not status.alive
    assert status.not_recorded == status.offered - status.recorded


def test_after_a_kill_the_status_says_how_many_are_missing_at_least(tmp_path):
    child = start(tmp_path, "run", "slow")
    child.stdout.readline()
    living = open_run(tmp_path).status()
    assert (living.alive, living.queued, living.not_recorded) == (True, 8, 0)
    kill_after(child, 0)
    status = open_run(tmp_path).status()
    assert (status.alive, status.recorded, status.not_recorded) == (False, 0, 8)
    assert "at least 8 not recorded, as of 20" in status.text
