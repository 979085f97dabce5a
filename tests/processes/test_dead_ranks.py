"""`rlvr status` of a training of two processes of which one was killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from launching import HERE, end, free_port, start

import rlvr

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(600)]

WITHIN_S = 120


def ranks_by_hand(folder, **settings):
    """Two ranks without a launcher that would end one when the other dies, as SLURM starts them."""
    port = free_port()
    command = [sys.executable, str(HERE / "stopped_training.py"), str(folder), json.dumps(settings)]
    together = {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    return [start(command, RANK=str(n), LOCAL_RANK=str(n), **together) for n in range(2)]


@pytest.fixture
def held(tmp_path):
    """Rank 0 scores its second batch and does not get on; rank 1 waits for it in a collective."""
    (tmp_path / "hold").touch()
    ranks = ranks_by_hand(tmp_path, hold=True, save_strategy="no")
    try:
        until((tmp_path / "held").exists, ranks)
        run = rlvr.open_run(tmp_path)
        until(lambda: run.status().recorded == 16, ranks)
        assert [rank.alive for rank in run.status().ranks] == [True, True]
        yield run, ranks
    finally:
        for rank in ranks:
            end(rank)
            rank.communicate()


def until(holds, ranks=()):
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        for rank in ranks:
            assert rank.poll() is None, rank.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def shown(run):
    """What a person sees, and what a program reads, of the command as it is typed."""
    texts = []
    for flag in ((), ("--json",)):
        command = [sys.executable, "-c", "from rlvr.cli import main; main()"]
        done = subprocess.run(
            [*command, "status", str(run.path), *flag],
            capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        texts.append(done.stdout)
    return texts[0], json.loads(texts[1])


def test_a_killed_rank_shows_while_the_other_goes_on(held):
    run, ranks = held
    ranks[1].send_signal(signal.SIGKILL)
    ranks[1].wait()
    text, told = shown(run)
    assert "running without rank 1, which is dead" in text
    assert f"attempt 0 rank 1 (pid {ranks[1].pid} on " in text
    assert "is dead; its last sign of life is of 20" in text
    (dead,) = told["dead"]
    assert (dead["attempt"], dead["rank"], dead["pid"]) == (0, 1, ranks[1].pid)
    assert dead["last_write"] > run.attempts[0].started_at - 60
    assert told["never_wrote"] == []


def test_a_killed_main_process_shows_while_the_other_waits_for_it(held):
    run, ranks = held
    ranks[1].send_signal(signal.SIGSTOP)  # gloo would notice; NCCL would wait on
    ranks[0].send_signal(signal.SIGKILL)
    ranks[0].wait()
    text, told = shown(run)
    assert "running without rank 0, which is dead" in text
    assert [rank["rank"] for rank in told["dead"]] == [0]
    ranks[1].send_signal(signal.SIGKILL)
    ranks[1].wait()
    text, told = shown(run)
    assert "killed" in text
    assert [rank["rank"] for rank in told["dead"]] == [0, 1]
    assert run.status().recorded == 16
