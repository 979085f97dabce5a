"""`scripts/test_enhanced_logging.py` is part of the suite: it trains, and its checks can fail."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from warm import warm_python

SCRIPT = Path(__file__).parents[2] / "scripts" / "test_enhanced_logging.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("script_test_enhanced_logging", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def recorded(script, tmp_path_factory):
    """What the script's own training leaves behind, trained in a process of its own."""
    folder = tmp_path_factory.mktemp("logged")
    code = (
        "import runpy, pathlib\n"
        f"m = runpy.run_path({str(SCRIPT)!r})\n"
        f"m['train'](m['options_for'](pathlib.Path({str(folder)!r}), None), 'demo')"
    )
    environment = {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [warm_python(), "-c", code], env={**os.environ, **environment}, check=True,
        capture_output=True, timeout=240,
    )  # fmt: skip
    return script.read_back(folder)


@pytest.mark.train
def test_the_script_runs_by_itself():
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "All 4 checks hold." in done.stdout
    assert "• retrieve(" in done.stdout


@pytest.mark.train
def test_the_checks_hold_for_a_real_run(script, recorded):
    assert script.failures_of(recorded) == []


@pytest.mark.train
def test_each_check_can_fail(script, recorded):
    columns = [name.replace("Rewards", "Prizes") for name in recorded.tables[0]["columns"]]
    spoilt = [{"columns": columns, "data": recorded.tables[0]["data"]}, *recorded.tables[1:]]
    mute = [replace(row, tool_results=()) for row in recorded.trajectories]
    assert "lacks ['Rewards']" in script.failures_of(replace(recorded, tables=spoilt))[0]
    assert "no trajectory calls" in script.failures_of(replace(recorded, trajectories=mute))[0]
    lost = replace(recorded, trajectories=recorded.trajectories[1:])
    assert "a rollout is missing" in script.failures_of(lost)[0]
    doubled = [replace(row, reward=(row.reward or 0) + 1) for row in recorded.trajectories]
    assert "a reward differs" in script.failures_of(replace(recorded, trajectories=doubled))[0]


def test_a_server_needs_the_name_of_its_model():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--vllm", "http://127.0.0.1:1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--vllm needs --model" in done.stderr
