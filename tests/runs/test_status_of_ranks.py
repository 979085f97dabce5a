"""The status of processes that are elsewhere, dead, or never came: from their files alone."""

import json
import time

import pytest

from builders import RUN_ID, run_info, trajectory
from rlvr.cli import main
from rlvr.recorder import Recorder
from rlvr.runs import open_run


@pytest.fixture
def two(tmp_path):
    """A run of two processes, closed; returns the folder."""
    first = Recorder.open(tmp_path, info=run_info(run=RUN_ID), run=RUN_ID, world_size=2)
    second = Recorder.open(tmp_path, run=RUN_ID, attempt=first.attempt, rank=1, world_size=2)
    first.record_batch([trajectory(step=0, batch=0, sample=n, run=RUN_ID) for n in range(4)])
    first.close()
    second.close()
    return first.folder


def tell(folder, rank, **changes):
    """Let a process's file say something else."""
    path = folder / f"ranks/r{rank:03d}-a00.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def status(folder, capsys, *flags):
    with pytest.raises(SystemExit):
        main(["status", str(folder), *flags])
    return " ".join(capsys.readouterr().out.split())


def test_a_process_on_another_machine_is_judged_by_its_silence(two, capsys):
    tell(two, 1, host="far-away", closed=False, written_at=time.time() - 1000)
    rank = open_run(two).status().ranks[1]
    assert (rank.alive, rank.dead, rank.not_recorded) == (None, False, 0)
    assert rank.silent_s == pytest.approx(1000, abs=100)
    text = status(two, capsys)
    assert "on another machine" in text
    assert "rank 1 (pid" in text
    assert "on far-away) can't be looked at from here; silent for 16 min" in text


def test_a_dead_process_is_named_with_its_losses(two, capsys):
    tell(two, 1, closed=False, process="another", offered=7)
    text = status(two, capsys)
    assert "killed · 4 recorded · at least 7 not recorded" in text
    assert "attempt 0 rank 1 (pid " in text
    assert "is dead; its last sign of life is of 20" in text
    assert "; at least 7 trajectories not recorded" in text
    (dead,) = json.loads(status(two, capsys, "--json"))["dead"]
    assert (dead["attempt"], dead["rank"], dead["not_recorded_at_least"]) == (0, 1, 7)


def test_a_training_that_ends_with_an_error_has_not_finished(tmp_path, capsys):
    recorder = Recorder.open(tmp_path, info=run_info(run=RUN_ID))
    recorder.record_batch([trajectory(step=0, batch=0, sample=0, run=recorder.run)])
    with pytest.raises(KeyError), recorder:
        raise KeyError("weights")
    (rank,) = open_run(recorder.folder).status().ranks
    assert (rank.closed, rank.failure, rank.recorded) == (True, "KeyError: 'weights'", 1)
    text = status(recorder.folder, capsys)
    assert "failed · 1 recorded · nothing lost" in text
    assert "attempt 0 rank 0 ended with KeyError: 'weights'" in text
    with Recorder.open(tmp_path, run=recorder.run) as resumed:
        pass
    assert "finished · 1 recorded" in status(resumed.folder, capsys)


def test_a_process_that_never_wrote_is_missed(two, capsys):
    (two / "ranks/r001-a00.json").unlink()
    assert open_run(two).status().missing == ((0, 1),)
    assert "attempt 0 was started with rank 1, which never wrote anything" in status(two, capsys)
    told = json.loads(status(two, capsys, "--json"))
    assert told["never_wrote"] == [{"attempt": 0, "rank": 1}]


def test_a_closed_run_misses_nobody(two, capsys):
    found = open_run(two).status()
    assert (found.missing, found.dead) == ((), ())
    assert "finished · 4 recorded · nothing lost" in status(two, capsys)


def test_a_process_to_which_nothing_happens_gives_signs_of_life(tmp_path):
    with Recorder.open(tmp_path, flush_s=0.1) as recorder:
        written = set()
        deadline = time.monotonic() + 30
        while len(written) < 4 and time.monotonic() < deadline:
            written.add(open_run(recorder.folder).status().ranks[0].last_write)
            time.sleep(0.05)
    assert len(written) == 4
