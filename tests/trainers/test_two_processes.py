"""Two real processes: each trains on its own prompts, and every trajectory is recorded once."""

import json
import os
import statistics
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

import rlvr
from rlvr.diagnosis import Fate, Severity
from rlvr.record import FORWARD_EVIDENCE
from warm import warm_python, warm_ranks

SCRIPT = Path(__file__).parent / "two_processes.py"
pytestmark = [pytest.mark.train, pytest.mark.slow]


def launch(folder, repairs):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(SCRIPT.parent.parent),
        "CUDA_VISIBLE_DEVICES": "",
        **warm_ranks(),
    }
    done = subprocess.run(
        [warm_python(), "-m", "torch.distributed.run", "--nproc-per-node=2",
         "--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0",
         str(SCRIPT), str(folder), repairs],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"processes": 2}
    return rlvr.open_run(folder)


def by_step(run):
    batches = defaultdict(list)
    for trajectory in run.trajectories():
        batches[trajectory.step].append(trajectory)
    return batches


@pytest.fixture(scope="module")
def repaired(tmp_path_factory):
    return launch(tmp_path_factory.mktemp("two"), "all")


def test_each_process_trains_on_its_own_prompts(repaired):
    seen = set()
    for batch in by_step(repaired).values():
        first, second = batch[:8], batch[8:]  # rank 0's rows, then rank 1's
        assert len(second) == 8
        examples = [{t.example_id for t in half} for half in (first, second)]
        assert not examples[0] & examples[1]
        assert len(examples[0] | examples[1]) == 4
        assert not seen & (examples[0] | examples[1])
        seen |= examples[0] | examples[1]
    assert len(seen) == 8


def test_groups_are_whole_and_advantages_follow_from_the_recorded_rewards(repaired):
    groups = defaultdict(list)
    for trajectory in repaired.trajectories():
        groups[trajectory.group_id].append(trajectory)
    assert len(groups) == 8
    for group in groups.values():
        assert sorted(t.sample for t in group) == [0, 1, 2, 3]
        assert len({t.example_id for t in group}) == 1
        rewards = [t.reward for t in group]
        for trajectory in group:
            expected = (trajectory.reward - statistics.fmean(rewards)) / (
                statistics.stdev(rewards) + 1e-4
            )
            assert trajectory.advantage == pytest.approx(expected, abs=1e-3)


def test_each_process_adds_what_its_forward_showed_of_the_rollouts_that_it_trained(repaired):
    added = {note.id: note for note in repaired.annotations(kind=FORWARD_EVIDENCE)}
    for batch in by_step(repaired).values():
        assert [t.id in added for t in batch] == [False] * 8 + [True] * 8
        for trajectory in batch:
            evidence = trajectory.evidence
            assert evidence.attended_share == 1.0
            assert evidence.gap_mean < 1e-4
            assert sum(evidence.gap_tokens_by_turn) == evidence.sampled_tokens
            assert evidence.entropy_mean > 0


def test_the_evidence_of_all_processes_is_in_every_reading(repaired):
    table = repaired.to_arrow(["gap_mean", "attended_share", "gap_tokens_by_turn"])
    assert table.column_names == ["gap_mean", "attended_share", "gap_tokens_by_turn"]
    assert all(table[name].null_count == 0 for name in table.column_names)
    last = list(repaired.trajectories())[-1]
    assert last.evidence.attended_share == 1.0
    assert repr(repaired.trajectory(last.id)) == repr(last)  # NaN is not equal to itself
    assert repr(last) in map(repr, repaired.group(last.group_id))


def test_no_rollout_of_a_run_of_two_processes_is_unverified(repaired):
    verdict = rlvr.diagnose(repaired)
    assert verdict.ledger.total == 32
    assert verdict.ledger.count(Fate.UNVERIFIED) == 0
    assert verdict.worst is not Severity.ERROR


def test_token_details_hold_the_forward_of_every_process(repaired):
    for batch in by_step(repaired).values():
        assert len(batch) == 16
        assert all(t.tokens.sequences[0].trainer_logprobs is not None for t in batch)


def test_the_run_knows_both_processes(repaired):
    assert repaired.info.world_size == 2
    status = repaired.status()
    assert sorted(rank.rank for rank in status.ranks) == [0, 1]
    assert not repaired.damaged


def test_as_shipped_both_processes_train_on_the_same_prompts(tmp_path):
    run = launch(tmp_path, "all,-distinct_prompts")
    for batch in by_step(run).values():
        first, second = batch[:8], batch[8:]
        assert [t.example_id for t in first] == [t.example_id for t in second]
    outcomes = rlvr.diagnose(run)
    assert outcomes.finding("duplicate-prompts") or "duplicate-prompts" in {
        unknown.code for unknown in outcomes.unknown
    }
