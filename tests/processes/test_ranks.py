"""Two processes with whole copies, as torchrun and accelerate launch them."""

import functools
import sys

import pytest
from expectations import all_holds, is_recorded_once, ranks_have_other_questions
from launching import FLAGS, SCRIPT, WATCHED, accelerate, launch, torchrun, watched

import rlvr

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(600)]


def test_torchrun_trains_one_policy_in_two_processes(tmp_path):
    cold = functools.partial(torchrun, python=sys.executable)
    seen = watched(cold, tmp_path, max_steps=2)
    assert {one["type"] for one in seen} == {"DistributedType.MULTI_CPU"}
    all_holds(seen, rlvr.open_run(tmp_path), steps=2, gap=1e-4)


def test_the_script_under_accelerate_trains_in_two_processes(tmp_path):
    command = [SCRIPT, *FLAGS, "--output-dir", tmp_path]
    done = launch(accelerate("ddp.yaml", *command, python=sys.executable))
    run = rlvr.open_run(tmp_path)
    assert run.info.world_size == 2
    found = is_recorded_once(run, steps=2, rows=16)
    ranks_have_other_questions(found, rows=16)
    assert all(t.evidence.gap_mean < 1e-4 for t in found)
    assert sorted(rank.rank for rank in run.status().ranks) == [0, 1]
    assert f"32 trajectories recorded in {run.path}" in done.stderr


def test_processes_that_would_each_train_alone_are_refused(tmp_path):
    """Without use_cpu, accelerate sees no GPU and sets up no process group."""
    done = launch(torchrun(WATCHED, tmp_path, '{"use_cpu": false}'), expect=1)
    assert "2 processes were launched, but each trains alone" in done.stderr
    assert not list(tmp_path.glob("rlvr/*"))
