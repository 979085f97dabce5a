"""Two processes of TRL: each records its own share, and together they are the whole batch."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from trl_trainings import check_groups, record_of

import rlvr
from rlvr.diagnosis import Fate, Severity
from rlvr.record import Mode
from warm import warm_python, warm_ranks

pytestmark = [pytest.mark.train, pytest.mark.slow]

HERE = Path(__file__).parent


def launch(folder, **settings):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
        "CUDA_VISIBLE_DEVICES": "",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        **warm_ranks(),
    }
    done = subprocess.run(
        [warm_python(), "-m", "torch.distributed.run", "--nproc-per-node=2",
         "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0",
         str(HERE / "trl_processes.py"), str(folder), json.dumps({"evaluates": False} | settings)],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert {"processes": 2} in [
        json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')
    ]
    return done


@pytest.fixture(scope="module", params=["whole groups", "groups across processes"])
def recorded(request, tmp_path_factory):
    """Two steps of 16 rollouts, 8 a process: groups of 4 within one, or of 16 across both."""
    folder = tmp_path_factory.mktemp("two")
    across = request.param != "whole groups"
    size = 16 if across else 4
    launch(folder, num_generations=size, num_generations_eval=4, per_device_eval_batch_size=8,
           evaluates=True, num_iterations=1)  # fmt: skip
    return rlvr.open_run(folder), record_of(folder), size


def of(rows, mode):
    return [row for row in rows if row.mode is mode]


def test_every_rollout_is_recorded_once_by_the_process_that_made_it(recorded):
    run, rows, _ = recorded
    trained = of(rows, Mode.TRAIN)
    places = [(row.step, row.batch, row.rank) for row in trained]
    assert sorted(set(places)) == [(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)]
    assert all(places.count(place) == 8 for place in set(places))
    assert all(f"-r{row.rank:03d}-" in row.id for row in rows)
    assert sorted(rank.rank for rank in run.status().ranks) == [0, 0, 1, 1]  # also for `evaluate`


def test_groups_are_global_and_whole(recorded):
    _, rows, size = recorded
    groups = check_groups(of(rows, Mode.TRAIN), size=size)
    assert len(groups) == 2 * 16 // size
    prompts = {(row.step, row.example_id) for row in of(rows, Mode.TRAIN)}
    assert len(prompts) == len(groups)


def test_each_process_adds_what_its_updates_showed(recorded):
    run, rows, _ = recorded
    for row in of(rows, Mode.TRAIN):
        (update,) = run.updates(row)
        assert (update.update, update.rank) == (row.step, row.rank)
        assert row.evidence.attended_share == 1.0
        assert row.evidence.ids_match
        assert row.evidence.entropy_mean > 0
        assert row.tokens.sequences[0].trainer_logprobs is not None


def test_the_evaluation_has_each_example_once(recorded):
    _, rows, _ = recorded
    evaluated = of(rows, Mode.EVAL)
    groups = {}
    for row in evaluated:
        groups.setdefault(row.group_id, set()).add((row.sample, row.example_id))
    assert len(evaluated) == 16
    assert len({row.example_id for row in evaluated}) == len(groups) == 4
    assert all(len({example for _, example in group}) == 1 for group in groups.values())
    assert all(sorted(sample for sample, _ in g) == [0, 1, 2, 3] for g in groups.values())


def test_the_diagnosis_finds_no_fault(recorded):
    run, _, _ = recorded
    verdict = rlvr.diagnose(run)
    assert verdict.ledger.total == 32
    assert verdict.ledger.count(Fate.UNVERIFIED) == verdict.ledger.count(Fate.CORRUPTED) == 0
    assert verdict.worst is not Severity.ERROR
