"""TRL's server mode against a real server: what a CPU allows of it, recorded."""

import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import rlvr
from rlvr.diagnosis import Severity

pytestmark = pytest.mark.train

HERE = Path(__file__).parent
BESIDE = [HERE.parent / "with_trl", HERE.parent]


def launch(folder, server, policy_folder, *more):
    return subprocess.run(
        [sys.executable, HERE / "trl_on_server.py", folder, policy_folder, server.url,
         os.environ["RLVR_VLLM_ENV"], *more],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, BESIDE)),
            "TRL_EXPERIMENTAL_SILENCE": "1",
        },
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_as_shipped_it_needs_cuda_to_send_weights(tmp_path, server, policy_folder):
    """Where this fails, TRL has learnt it: then the file client goes, and the docs' limit."""
    done = launch(tmp_path, server, policy_folder, "as-shipped")
    assert done.returncode != 0
    assert "has no weight-transfer engine" in done.stderr or "needs a CUDA device" in done.stderr, (
        done.stderr[-2000:]
    )


def test_its_requests_logprobs_and_policy_versions_are_recorded(tmp_path, server, policy_folder):
    done = launch(tmp_path, server, policy_folder)
    assert done.returncode == 0, done.stderr[-4000:]
    run = rlvr.open_run(tmp_path)
    rows = list(run.trajectories())
    assert run.info.inference == "vllm (server)"
    assert sorted({row.step for row in rows}) == [0, 1, 2]
    groups = defaultdict(list)
    for row in rows:
        groups[row.group_id].append(row)
        assert all(turn.policy_version == row.step for turn in row.turns)
        assert row.evidence.ids_match
        assert row.evidence.gap_mean < 1e-3  # sampler and trainer have the same weights
        assert sum(row.evidence.gap_tokens_by_turn) == row.evidence.sampled_tokens
        assert row.evidence.entropy_mean > 0
        (sequence,) = row.tokens.sequences
        assert sequence.sampler_logprobs is not None
    for group in groups.values():
        rewards = [row.reward for row in group]
        spread = statistics.stdev(rewards) + 1e-4
        for row in group:
            expected = (row.reward - statistics.fmean(rewards)) / spread
            assert row.advantage == pytest.approx(expected, abs=1e-3)
    assert any(len(row.turns) > 1 for row in rows)
    assert rlvr.diagnose(run).worst is not Severity.ERROR
