"""The training script against a real server, as it is typed."""

import subprocess
import sys
from pathlib import Path

import pytest
from on_server import gaps, steps

import trainings

pytestmark = pytest.mark.train

ROOT = Path(__file__).resolve().parents[2]
SHORT = (
    "--prompt-style brief --max-turns 4 --max-tokens 48 --max-seq-len 512 --max-prompt-length 400"
    " --learning-rate 1e-3 --lr-scheduler constant --batch-size 8 --num-generations 4 --max-steps 3"
    " --gradient-accumulation-steps 1 --loss-type bnpo --report-to none --save-steps 0"
    " --no-gradient-checkpointing --num-batches-ahead 0 --diagnose-every 0"
)


def script(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "train_musique.py", "train", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_script_trains_against_a_stock_server(tmp_path, server, policy_folder):
    done = script(
        *("--model", policy_folder, "--datasets", "synthetic,seed-5,train[:24]"),
        *("--inference", "vllm", "--weight-sync", "files", "--vllm-port", str(server.port)),
        *("--output-dir", tmp_path, *SHORT.split()),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rollouts = trainings.record_of(tmp_path)
    assert list(steps(rollouts)) == [0, 1, 2]
    assert max(gaps(rollouts)) < 1e-3


def test_the_script_says_what_a_server_lacks(tmp_path, server):
    done = script(
        *("--model", "another/model", "--inference", "vllm", "--weight-sync", "files"),
        *("--vllm-port", str(server.port), "--output-dir", tmp_path),
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("train_musique.py: the vLLM server at")
    assert "--served-model-name another/model" in done.stderr
