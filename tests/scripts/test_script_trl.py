"""`--trainer trl` of the training scripts: a recorded training, and the flags it refuses."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.record import Mode
from warm import warm_python

ROOT = Path(__file__).parents[2]
COMMON = shlex.split("""
    --trainer trl --model demo --prompt-style brief --inference embedded --learning-rate 3e-4
    --lr-scheduler constant --batch-size 16 --gradient-accumulation-steps 1 --num-generations 4
    --max-steps 2 --report-to none --save-steps 0 --no-gradient-checkpointing
""")
TASKS = {
    "musique": "--datasets synthetic,seed-3,train[:32] --max-turns 5 --max-seq-len 512",
    "math_python": "--datasets synthetic,seed-3,train[:256] --max-level 1 --max-turns 3"
    " --max-seq-len 320",
}


def run(task, folder, *arguments):
    return subprocess.run(
        [
            *(warm_python(), f"scripts/train_{task}.py", "train", *COMMON),
            *(*shlex.split(TASKS[task]), "--output-dir", str(folder), *arguments),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200",
             "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


@pytest.mark.train
@pytest.mark.parametrize(
    ("task", "outcome"), [("musique", "exact_match"), ("math_python", "correct")]
)
def test_a_task_trains_under_trl_and_is_recorded(tmp_path, task, outcome):
    done = run(task, tmp_path, "--eval-steps", "1", "--log-token-details")
    assert done.returncode == 0, done.stderr[-4000:]
    recorded = rlvr.open_run(tmp_path)
    rows = list(recorded.trajectories(mode=Mode.TRAIN))
    assert len(rows) == 32
    assert any(row.tool_results for row in rows)
    assert all(row.advantage is not None for row in rows)
    info = recorded.info
    assert info.trainer.endswith("RecordingGRPOTrainer")
    assert info.model == "demo"
    assert info.outcome == outcome
    assert info.components[outcome] > 0.5
    assert info.dataset.startswith("synthetic,seed-3,train")
    assert info.environment["loader"] == f"rlvr.environments.{task}.verifiers"
    rescored = subprocess.run(
        [Path(sys.executable).with_name("rlvr"), "rescore", tmp_path],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert rescored.returncode == 0, rescored.stdout  # the rewards are those of the other trainer's
    assert "all 32 rollouts" in rescored.stdout
    evaluated = list(recorded.trajectories(mode=Mode.EVAL))
    assert evaluated
    assert all(row.advantage is None for row in evaluated)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--repairs", "none"], "--repairs is for verifiers' trainer"),
        (["--tool-parser", "none"], "--tool-parser is for verifiers' trainer"),
        (["--preflight"], "--preflight checks verifiers' trainer"),
        (["--max-seq-len", "20"], "leaves no room after the longest prompt"),
        (["--max-prompt-length", "3"], "raise --max-prompt-length"),
        (["--batch-size", "3"], "--num-generations"),
    ],
)
def test_what_can_not_work_ends_with_one_message_and_code_2(tmp_path, arguments, expected):
    done = run("musique", tmp_path, *arguments)
    assert done.returncode == 2, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert expected in "\n".join(done.stderr.splitlines()[-2:])
