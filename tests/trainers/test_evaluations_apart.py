"""Evaluations inside a training stay apart from it: in the record, in the metrics and in W&B."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.analysis import SUMMARY_COLUMNS, summarise
from rlvr.record import Mode
from warm import warm_python

pytestmark = [pytest.mark.train, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
STEPS = 2
TRAINING = shlex.split(f"""
    train --model demo --datasets synthetic,seed-3,train[:32] --prompt-style brief
    --eval-datasets synthetic,seed-3,validation[:6] --inference embedded --max-turns 4
    --max-tokens 48 --max-seq-len 512 --batch-size 8 --num-generations 4 --max-steps {STEPS}
    --gradient-accumulation-steps 1 --eval-steps 1 --save-steps 0 --report-to wandb
    --log-token-details --diagnose-every 0
""")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A training of two steps that was evaluated after each, with an offline W&B run."""
    made = tmp_path_factory.mktemp("run")
    settings = {"WANDB_MODE": "offline", "WANDB_DIR": str(made), "WANDB_SILENT": "true"}
    done = subprocess.run(
        [warm_python(), "scripts/train_musique.py", *TRAINING, "--output-dir", str(made)],
        cwd=ROOT, env={**os.environ, **settings, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return made


@pytest.fixture(scope="module")
def history(folder):
    """What W&B was logged, row by row, from the file of the offline run."""
    (log,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def table_rows(folder, key):
    files = folder.glob(f"wandb/offline-run-*/files/media/table/{key}_[0-9]*.table.json")
    tables = [json.loads(path.read_text("utf-8")) for path in files]
    return [dict(zip(t["columns"], cells, strict=True)) for t in tables for cells in t["data"]]


def test_the_record_tells_them_apart(folder):
    run = rlvr.open_run(folder)
    trained = list(run.trajectories(mode=Mode.TRAIN))
    evaluated = list(run.trajectories(mode=Mode.EVAL))
    assert (len(trained), len(evaluated)) == (8 * STEPS, 6 * STEPS)
    assert {row.example_id for row in trained}.isdisjoint({row.example_id for row in evaluated})
    assert all(row.advantage is None for row in evaluated)
    assert all(row.advantage is not None for row in trained)
    assert all(set(s.loss_mask) == {0} for row in evaluated for s in row.tokens.sequences)
    assert all(row.evidence.trained_tokens is None for row in evaluated)
    assert all(row.evidence.served_prompt_tokens > 0 for row in evaluated)
    assert run.info.eval_dataset == "synthetic,seed-3,validation[:6]"
    assert run.info.dataset == "synthetic,seed-3,train[:32]"
    assert not run.info.is_evaluation


def test_a_page_has_a_row_for_each_mode_and_step_and_none_mixes_them(folder):
    run = rlvr.open_run(folder)
    summary = summarise(run.to_arrow(SUMMARY_COLUMNS))
    assert [(row.mode, row.step, row.trajectories) for row in summary.steps] == [
        ("train", 0, 8), ("train", 1, 8), ("eval", 1, 6), ("eval", 2, 6),
    ]  # fmt: skip
    assert summary.evidence.trajectories == 8 * STEPS


def test_metrics_of_both_stand_in_rows_of_their_own(folder):
    rows = rlvr.open_run(folder).metrics()
    for row in rows:
        named = {name.startswith("eval_") for name in row.values if "reward" in name}
        assert len(named) <= 1
        assert (row.mode == "eval") == (True in named)
    assert [row.step for row in rows if "eval_reward" in row.values] == [1, 2]


def test_wandb_charts_them_under_names_of_their_own(folder, history):
    trained = [row for row in history if "train/reward" in row]
    evaluated = [row for row in history if "eval/reward" in row]
    assert (len(trained), len(evaluated)) == (STEPS, STEPS)
    assert not any("eval/reward" in row for row in trained)
    run = rlvr.open_run(folder)
    for step, row in enumerate(evaluated, 1):
        rewards = [one.reward for one in run.trajectories(mode=Mode.EVAL, step=step)]
        assert float(row["eval/reward"]) == pytest.approx(sum(rewards) / len(rewards))
    for step, row in enumerate(trained):
        rewards = [one.reward for one in run.trajectories(mode=Mode.TRAIN, step=step)]
        assert float(row["train/reward"]) == pytest.approx(sum(rewards) / len(rewards))


def test_wandbs_tables_hold_rows_of_one_mode(folder):
    trained = table_rows(folder, "full_trajectories")
    evaluated = table_rows(folder, "full_trajectories_eval")
    assert len(trained) == len(evaluated) == 5 * STEPS
    assert all("train-s" in row["Record"] for row in trained)
    assert all("eval-s" in row["Record"] for row in evaluated)
    assert all(row["Advantage"] is None for row in evaluated)
    history = table_rows(folder, "full_trajectories_history")
    assert history
    assert all("train-s" in row["Record"] for row in history)
