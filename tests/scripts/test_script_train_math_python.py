"""`scripts/train_math_python.py`: training, evaluation here and resumed, flags and errors."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.record import EVALUATION, Mode
from warm import warm_python

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_math_python.py"
PROBLEMS = shlex.split("""
    --model demo --max-level 1 --prompt-style brief --max-turns 3 --max-tokens 64 --max-seq-len 320
""")
TRAINING = shlex.split("""
    --datasets synthetic,seed-3,train[:128] --inference embedded --learning-rate 3e-4
    --lr-scheduler constant --batch-size 8 --gradient-accumulation-steps 1 --num-generations 4
    --max-steps 2 --report-to none --no-gradient-checkpointing
""")
EVALUATION_OF_FEW = shlex.split("--datasets synthetic,seed-3,validation[:64] --num-examples 4")
FLAGS = {
    "train": shlex.split("""
        model datasets max-level sort-by-level rewards prompt-style max-turns sandbox tool-limit-s
        tool-characters scorer-limit-s eval-datasets preflight log-full-trajectories
        no-log-full-trajectories log-trajectory-samples log-token-details logging-steps inference
        tool-parser repairs lora learning-rate max-steps output-dir
    """),
    "evaluate": shlex.split("""
        model datasets max-level rewards prompt-style max-turns sandbox endpoint api-key-env
        request-timeout tokenizer tool-parser cpu rollouts num-examples concurrency temperature
        top-p max-tokens max-seq-len step seed log-token-details no-log-token-details
        log-trajectory-samples report-to run-name output-dir resume json
    """),
}


def run(verb, arguments, python=None, **environment):
    return subprocess.run(
        [python or warm_python(), str(SCRIPT), verb, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200",
             "CUDA_VISIBLE_DEVICES": "", **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = run("train", [*PROBLEMS, *TRAINING, "--save-steps", "2", "--output-dir", folder],
               python=sys.executable)  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """The checkpoint of that training, evaluated; what was printed."""
    folder = tmp_path_factory.mktemp("evaluated")
    asked = [*PROBLEMS, *EVALUATION_OF_FEW, "--rollouts", "2", "--output-dir", folder]
    asked[asked.index("demo")] = trained / "checkpoint-2"
    done = run("evaluate", [*asked, "--json"], python=sys.executable)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, done, asked


@pytest.mark.parametrize(("verb", "flag"), [(v, flag) for v in FLAGS for flag in FLAGS[v]])
def test_every_documented_flag_exists_and_has_help(verb, flag, help_texts):
    lines = help_texts[verb].splitlines()
    place = next(n for n, line in enumerate(lines) if re.search(rf"--{flag}(\s|$)", line))
    described = re.sub(r"^\s+(--[\w-]+( / )?)+(\s<[^>]*>)?", "", lines[place])
    assert described.strip() or lines[place + 1].strip()


@pytest.fixture(scope="module")
def help_texts():
    return {verb: run(verb, ["--help"]).stdout for verb in FLAGS}


@pytest.mark.parametrize("verb", FLAGS)
def test_help_loads_no_torch(verb):
    code = (
        f"import sys, runpy; sys.argv = ['t', {verb!r}, '--help']\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit: print(sorted({'torch', 'transformers', 'verifiers', 'pyarrow',"
        " 'pandas', 'wandb', 'openai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_script_is_executable():
    assert SCRIPT.read_text("utf-8").startswith("#!/usr/bin/env python\n")
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.train
def test_a_training_is_recorded_with_its_tool_its_scores_and_its_origin(trained):
    recorded = rlvr.open_run(trained)
    rows = list(recorded.trajectories())
    assert len(rows) == 16
    assert any(row.tool_results for row in rows)
    info = recorded.info
    assert info.model == "demo"
    assert info.outcome == "correct"
    assert info.environment["loader"] == "rlvr.environments.math_python.verifiers"
    assert info.environment["options"]["max_level"] == 1
    assert info.scoring["thread"] == "worker"
    assert set(info.scoring["scorers"]) == set(info.components)
    assert {"math-verify", "sympy"} <= set(info.packages)


@pytest.mark.train
def test_the_library_s_own_rubric_can_be_trained_with(tmp_path):
    asked = [*PROBLEMS, *TRAINING, "--rewards", "original", "--save-steps", "0"]
    done = run("train", [*asked, "--max-steps", "1", "--output-dir", tmp_path])
    assert done.returncode == 0, done.stderr[-4000:]
    info = rlvr.open_run(tmp_path).info
    assert info.components == {
        "correct_answer_reward_func": 1.0, "tool_calls": 0.0, "tool_errors": 0.0,
    }  # fmt: skip
    assert info.outcome == "correct_answer_reward_func"


@pytest.mark.train
def test_a_checkpoint_is_evaluated_as_a_run_of_its_step(evaluated, trained):
    folder, done, _ = evaluated
    told = json.loads(done.stdout)
    assert (told["rollouts"], told["failed"], told["skipped"]) == (8, 0, 0)
    assert [rate["k"] for rate in told["rates"]["rates"]] == [1, 2]
    recorded = rlvr.open_run(folder)
    rows = list(recorded.trajectories(mode=Mode.EVAL))
    assert {row.step for row in rows} == {2}
    assert len({row.example_id for row in rows}) == 4
    info = recorded.info
    assert info.trainer == EVALUATION
    assert info.model == str(trained / "checkpoint-2")
    assert info.dataset == "synthetic,seed-3,validation[:64]"
    assert info.tools == rlvr.open_run(trained).info.tools
    assert info.chat_template == rlvr.open_run(trained).info.chat_template
    assert "%|" not in done.stderr  # no bars of other libraries among ours
    assert re.search(r"checkpoint-2  8 of 8 rollouts", done.stderr)


@pytest.mark.train
def test_a_finished_evaluation_is_resumed_and_asks_nothing_more(evaluated):
    folder, _, asked = evaluated
    done = run("evaluate", [*asked, "--resume", "latest"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert "4 examples recorded before" in done.stdout
    assert len(list(rlvr.open_run(folder).trajectories())) == 8
    assert "pass@1" in done.stdout


@pytest.mark.train
def test_an_adapter_is_evaluated_merged_into_its_model(trained, tmp_path):
    """LoRA on the checkpoint of a training; its own checkpoint holds the adapter alone."""
    asked = [*PROBLEMS, *TRAINING, "--lora", "--lora-r", "4", "--max-steps", "1"]
    asked[asked.index("demo")] = trained / "checkpoint-2"
    done = run("train", [*asked, "--save-steps", "1", "--output-dir", tmp_path])
    assert done.returncode == 0, done.stderr[-3000:]
    asked = [*PROBLEMS, *EVALUATION_OF_FEW, "--rollouts", "2", "--output-dir", tmp_path / "eval"]
    asked[asked.index("demo")] = tmp_path / "checkpoint-1"
    done = run("evaluate", asked)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = list(rlvr.open_run(tmp_path / "eval").trajectories())
    assert any(row.tool_results for row in rows)


@pytest.mark.parametrize(
    ("verb", "arguments", "expected"),
    [
        ("train", [*PROBLEMS, *TRAINING, "--rewards", "mine"], "use revised or original"),
        ("train", [*PROBLEMS, *TRAINING, "--sandbox", "none"], "none-i-accept-the-risk"),
        ("evaluate", [*PROBLEMS, "--datasets", "nonsense"], "write path,name,split"),
        ("evaluate", [*PROBLEMS, "--resume", "latest"], "there is no evaluation in"),
        ("evaluate", [*PROBLEMS, *EVALUATION_OF_FEW, "--resume", "x1"], "there is no run x1"),
        ("evaluate", [*PROBLEMS, *EVALUATION_OF_FEW, "--report-to", "x"], "reports to wandb"),
        ("evaluate", [*EVALUATION_OF_FEW, "--model", "some/model"], "can't be loaded"),
        (
            "evaluate",
            [*PROBLEMS, *EVALUATION_OF_FEW, "--endpoint", "http://127.0.0.1:9/v1"],
            "does not answer",
        ),
    ],
)  # fmt: skip
def test_what_can_not_work_ends_with_one_message_and_code_2(tmp_path, verb, arguments, expected):
    done = run(verb, [*arguments, "--output-dir", tmp_path])
    assert done.returncode == 2, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert expected in "\n".join(done.stderr.splitlines()[-2:])


@pytest.mark.train
def test_an_evaluation_reports_to_wandb_where_asked(tmp_path):
    asked = [*PROBLEMS, *EVALUATION_OF_FEW, "--rollouts", "2", "--report-to", "wandb"]
    settings = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}
    done = run("evaluate", [*asked, "--output-dir", tmp_path], **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    (table,) = tmp_path.glob(
        "wandb/offline-run-*/files/media/table/full_trajectories_eval_*.table.json"
    )
    shown = json.loads(table.read_text("utf-8"))
    assert len(shown["data"]) == 5
    assert "Full_Trajectory" in shown["columns"]
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    inspected = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    records = [json.loads(line) for line in inspected.stdout.splitlines()]
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert any("eval/pass@1" in row for row in rows)
    assert not any(name.startswith("train/re") for row in rows for name in row)
