"""The checks for a GPU, on a machine without one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_gpu.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The figures of a tiny model by (check, figure), and the Markdown file."""
    out = tmp_path_factory.mktemp("gpu") / "figures.md"
    out.write_text("# Figures\n")
    done = run("--device", "cpu", "--tiny", "--json", "--out", str(out), "--vllm", "/no/such/vllm")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {(f["check"], f["figure"]): f for f in found["figures"]}, found["machine"], out


@pytest.mark.train
@pytest.mark.slow
def test_repaired_the_sampler_agrees_with_the_trainer_and_as_shipped_it_does_not(checked):
    figures, _, _ = checked
    assert 0 < figures["embedded, repaired", "gap, mean"]["value"] < 1e-4
    assert figures["embedded, repaired", "gap beyond 1 nat"]["value"] == 0
    assert figures["embedded, as verifiers ships", "gap, mean"]["value"] > 0.1


@pytest.mark.train
@pytest.mark.slow
def test_the_recorder_is_measured_with_and_without_token_details(checked):
    figures, _, _ = checked
    for kind in ("nothing recorded", "trajectories recorded", "and token details"):
        assert figures[kind, "step, median"]["value"] > 0
        assert figures[kind, "GPU memory, peak"]["note"] == "no CUDA device"


@pytest.mark.train
@pytest.mark.slow
def test_what_can_not_be_run_here_says_so_with_the_reason(checked):
    figures, machine, out = checked
    files = figures["vLLM, weights by files", "gap and sync"]
    assert (files["value"], "No such file" in files["note"]) == (None, True)
    nccl = figures["vLLM, weights by nccl", "gap and sync"]
    assert (nccl["value"], bool(nccl["note"])) == (None, True)
    text = out.read_text()
    assert text.startswith("# Figures\n## ")
    assert "| vLLM, weights by files | gap and sync | not run: " in text
    assert all(f"- {name}: {value}\n" in text for name, value in machine.items())
    assert "--device cpu --tiny" in machine["command"]


def test_without_a_gpu_the_script_says_how_to_run_it_all_the_same():
    done = run("--tiny")
    assert done.returncode == 2
    assert "--device cpu --tiny" in done.stderr
