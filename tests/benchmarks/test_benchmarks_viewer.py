"""The bench of the viewer asks for every page of a run, and for the longest trajectories."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bench_asks_for_every_page(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.viewer", "--quick", "--json", "--rounds", "1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    found = json.loads(done.stdout)
    assert {one["page"] for one in found["pages"]} >= {
        "rollouts",
        "step",
        "group",
        "trajectory",
        "tokens",
        "prompt",
        "diagnosis",
    }
    assert all(one["again_ms"] > 0 and one["bytes"] > 1_000 for one in found["pages"])
    assert [one["drawn_ms"] > 0 for one in found["longest"]] == [True, True]
    assert 0 < found["javascript_bytes"] < 60_000
