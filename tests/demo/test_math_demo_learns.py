"""The demo's sums, trained as a user trains them: the policy learns to use the tool."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.environments.math_python.core.tool import read_result

ROOT = Path(__file__).parents[2]


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_policy_learns_to_use_the_tool_and_is_right_by_it(tmp_path) -> None:
    trained = subprocess.run(
        [sys.executable, "benchmarks/math_demo.py", "--seeds", "1", "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert trained.returncode == 0, trained.stderr[-4000:]
    run = rlvr.open_run(tmp_path / "seed-0")
    by_step: dict[int, list] = {}
    for trajectory in run.trajectories(mode="train", tokens=False):
        by_step.setdefault(trajectory.step, []).append(trajectory)
    assert len(by_step) == 60
    start, end = by_step[0], [one for step in range(50, 60) for one in by_step[step]]
    assert right(start) <= 0.45
    assert right(end) >= max(0.8, right(start) + 0.4)
    assert used(start) <= 0.65
    assert used(end) >= 0.9
    assert f"| {right(end):.1%} |" in trained.stdout
    assert statistics.fmean(one.answer in printed(one) for one in end) >= 0.8


def right(trajectories) -> float:
    return statistics.fmean(one.component("correct").value for one in trajectories)


def used(trajectories) -> float:
    return statistics.fmean(one.component("tool_use").value for one in trajectories)


def printed(trajectory) -> list[str]:
    """What the programs of a rollout printed, as the record has it."""
    results = [result.result for result in trajectory.tool_results if result.result is not None]
    return [read_result(result).stdout.text.strip() for result in results]
