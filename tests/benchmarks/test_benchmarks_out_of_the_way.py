"""The benchmark of what recording costs runs and reports every column; no time is judged here."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.train]

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.out_of_the_way"]
WAYS = {"rlvr", "jsonl+zstd", "jsonl", "trl", "wandb"}
COLUMNS = ["waits ms", "on disk ms", "CPU ms", "ratio", "MB", "peak MB", "added ms", "GIL ms"]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """A file with the figures of a run in miniature."""
    ran = subprocess.run(
        [*COMMAND, "--quick", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    path.write_text(ran.stdout)
    return path


def test_every_way_is_measured_on_the_same_rollouts(figures):
    (costs,) = json.loads(figures.read_text().splitlines()[-1])["costs"].values()
    assert set(costs) == WAYS
    for cost in costs.values():
        assert cost["trajectories"] == 8
        assert all(math.isfinite(cost[name]) for name in cost if name != "way")
        assert cost["disk_bytes"] > 10_000


def test_the_tables_have_every_column_and_judge_every_target(figures):
    ran = subprocess.run(
        [*COMMAND, "--show", str(figures)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for column in COLUMNS:
        assert column in ran.stdout
    judged = [line for line in ran.stdout.splitlines() if "MISSED" in line or " met " in line]
    for target in ("step time", "memory", "median", "mean", "processor time", "bytes on disk"):
        assert any(target in line for line in judged), target
