"""Evaluations against a real server: what the script records of it, and of a server that dies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.record import Mode

pytestmark = pytest.mark.train

ROOT = Path(__file__).resolve().parents[2]
SHORT = (
    "--datasets synthetic,seed-5,validation[:8] --prompt-style brief --max-turns 4"
    " --max-tokens 48 --rollouts 2 --concurrency 8 --json"
)


def evaluate(folder, server, policy_folder, *arguments):
    return subprocess.run(
        [
            *(sys.executable, ROOT / "scripts" / "train_musique.py", "evaluate", *SHORT.split()),
            *("--model", policy_folder, "--endpoint", f"{server.url}/v1", "--output-dir", folder),
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_model_behind_a_server_is_evaluated(tmp_path, server, policy_folder):
    done = evaluate(tmp_path, server, policy_folder)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["rates"]["rollouts"] == told["rates"]["scored"] == 16
    run = rlvr.open_run(tmp_path)
    rows = list(run.trajectories(mode=Mode.EVAL))
    assert len(rows) == 16
    assert any(row.tool_results for row in rows)
    assert all(row.evidence.served_prompt_tokens for row in rows)
    assert all(
        value == value and value <= 0.0
        for row in rows
        for sequence in row.tokens.sequences
        for span in sequence.spans
        if span.role == "assistant"
        for value in sequence.sampler_logprobs[span.start : span.stop]
    )
    assert "<tool" in "".join(run.vocabulary())
    assert run.info.chat_template
    assert run.info.inference == f"endpoint {server.url}/v1"
    assert run.info.limits["max_seq_len"] == 768


def test_a_model_that_the_server_does_not_have_is_named(tmp_path, server, policy_folder):
    done = evaluate(tmp_path, server, policy_folder, "--model", "another/model")
    assert done.returncode == 2
    assert "not another/model: name it with --model as the server does" in done.stderr
