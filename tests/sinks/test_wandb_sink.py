"""The W&B sink on real offline runs, each in a process of its own, read back from their files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STEPS = 12
ROWS = 5
COLUMNS = [
    "Step", "Sample", "Input", "Prompt", "Full_Trajectory", "Rewards", "Total_Reward", "Num_Turns",
    "Num_Tool_Calls", "Num_Tool_Responses", "Num_Tool_Errors", "Num_Broken_Calls", "Num_Chars",
    "Tools", "Has_Think", "Has_Cite", "Has_Answer", "Final_Answer", "Stop_Reason", "Errors",
    "Group", "Group_Sample", "Chosen_As", "Format_Valid", "Advantage", "Reward_exact_match",
    "Reward_f1", "Reward_judge", "Record",
]  # fmt: skip


def run_scenario(folder, scenario, *, steps=STEPS):
    """What the process printed: (figures, standard error)."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "WANDB_SILENT": "true",
        "WANDB_MODE": "offline",
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "OMP_NUM_THREADS": "1",
    }
    run = subprocess.run(
        [sys.executable, str(HERE / "wandb_run.py"), scenario, str(steps)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1]), run.stderr


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    figures, _ = run_scenario(folder, "plain")
    return folder, figures


def history(folder):
    """Every row of the run's history, as W&B's own reader gives it."""
    (log,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def tables(folder, key):
    """(step of the history row, table) of every table under the key, in the order of logging."""
    (files,) = (folder / "wandb").glob("offline-run-*/files")
    found = []
    for row in history(folder):
        entry = row.get(key) or ({"path": row[f"{key}.path"]} if f"{key}.path" in row else None)
        if entry is not None:
            table = json.loads((files / entry["path"]).read_text("utf-8"))
            found.append((row["train/global_step"], table))
    return found


def test_every_step_has_a_fresh_table_beside_its_global_step(plain):
    folder, figures = plain
    logged = tables(folder, "full_trajectories")
    assert [step for step, _ in logged] == list(range(STEPS))
    for step, table in logged:
        assert table["columns"] == COLUMNS
        assert [row[0] for row in table["data"]] == [step] * ROWS
        assert [row[1] for row in table["data"]] == list(range(ROWS))
    assert figures["written"] == ROWS * (STEPS + 2)
    assert figures["offered"] == 8 * (STEPS + 2)
    assert (figures["dropped"], figures["failed"], figures["last_error"]) == (0, 0, None)


def test_the_cells_say_what_happened(plain):
    folder, _ = plain
    _, table = tables(folder, "full_trajectories")[3]
    best = dict(zip(table["columns"], table["data"][0], strict=True))
    assert best["Full_Trajectory"] == (
        "👤 USER:\nWhich capital?\n\n🤖 ASSISTANT:\nI search.\n\n📞 TOOL CALLS:\n"
        '  • retrieve({"query": "capital"})\n\n🔧 TOOL [retrieve]:\nDocument ID: 1\n\n'
        "🤖 ASSISTANT:\n<think>yes</think>\n<cite>1</cite>\n<answer>Paris</answer>"
    )
    identity = best["Record"].split(":")[0]
    assert best["Record"].splitlines() == [
        f"{identity}: rlvr show out/rlvr/run {identity}",
        f"http://localhost:8421/r/run/t/{identity}",
    ]
    assert identity.startswith("train-s000003-")
    expected = {
        "Prompt": "👤 USER:\nWhich capital?", "Total_Reward": 1.0, "Num_Turns": 2,
        "Num_Tool_Calls": 1, "Num_Tool_Responses": 1, "Num_Tool_Errors": 0, "Format_Valid": True,
        "Advantage": 0.5, "Final_Answer": "Paris", "Chosen_As": "best", "Errors": None,
        "Tools": "retrieve x 1", "Reward_exact_match": 1.0, "Reward_f1": None,
        "Reward_judge": None,
    }  # fmt: skip
    assert {name: best[name] for name in expected} == expected
    assert "f1           nan x 0.5 = nan" in best["Rewards"]


def test_evaluations_have_a_table_of_their_own(plain):
    folder, _ = plain
    assert [step for step, _ in tables(folder, "full_trajectories_eval")] == [4, 9]


def test_the_history_is_logged_at_growing_steps_and_at_the_end(plain):
    folder, _ = plain
    logged = tables(folder, "full_trajectories_history")
    assert [step for step, _ in logged] == [0, 1, 3, 7, STEPS - 1]
    assert [row[0] for row in logged[-1][1]["data"]] == [s for s in range(STEPS) for _ in range(5)]


def test_the_callers_own_metrics_are_all_there(plain):
    folder, _ = plain
    losses = [row["train/loss"] for row in history(folder) if "train/loss" in row]
    assert losses == [1.0 / (step + 1) for step in range(STEPS)]


def test_a_killed_service_never_stops_training_and_its_losses_are_counted(tmp_path):
    figures, errors = run_scenario(tmp_path, "killed", steps=20)
    assert figures["offered"] == 20 * 8
    assert figures["written"] >= ROWS
    # Off after three failures: of a step's table each, or the first of a history between two steps.
    assert figures["failed"] in (2 * ROWS, 3 * ROWS)
    assert figures["dropped"] > 0
    assert figures["written"] + figures["dropped"] + figures["failed"] == 20 * ROWS
    assert "Connection" in figures["last_error"]
    assert errors.count("The wandb sink failed; training goes on.") == 1
    assert errors.count("Traceback") <= 2  # one, with the error that W&B chains to it
    assert "and is off" in errors


def test_a_hung_service_blocks_neither_the_hand_off_nor_the_end(tmp_path):
    figures, _ = run_scenario(tmp_path, "hung", steps=20)
    assert figures["offered"] == 20 * 50 * 8
    assert figures["worst_hand_off_s"] < 0.5
    assert figures["close_s"] < 1.0 + 0.5
    assert figures["dropped"] > 0
    assert figures["written"] + figures["dropped"] + figures["failed"] >= 10 * ROWS
    assert figures["last_error"]


def test_without_a_run_nothing_is_logged_and_that_is_said(tmp_path):
    figures, errors = run_scenario(tmp_path, "no_run")
    assert (figures["written"], figures["dropped"]) == (0, STEPS * ROWS)
    assert "no W&B run is active" in figures["last_error"]
    assert errors.count("no W&B run is active") == 1


WITHOUT_WANDB = """
import runpy, sys
from importlib.machinery import PathFinder

class OnlyTheFolder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return super().find_spec(name, ["."] if name == "wandb" else path, target)

sys.meta_path.insert(0, OnlyTheFolder)
script = sys.argv.pop(1)
runpy.run_path(script, run_name="__main__")
"""


def test_without_wandb_a_folder_of_that_name_is_not_taken_for_it(tmp_path):
    (tmp_path / "wandb").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_WANDB, str(HERE / "wandb_run.py"), "folder", "3"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures["dropped"] == 3 * ROWS
    assert "not installed" in figures["last_error"]


def test_the_sink_is_imported_and_made_without_wandb():
    code = (
        "import sys; from rlvr.sinks import WandbSink; WandbSink(components=(), output_dir='R'); "
        "assert 'wandb' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
