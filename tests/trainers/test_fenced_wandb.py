"""The fenced W&B callback in real training runs, each in a process of its own."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from transformers.integrations import WandbCallback

from rlvr.trainers.fenced_wandb import Fence
from warm import warm_python

SCRIPT = Path(__file__).parent / "fenced_run.py"
STEPS = 8


def train(folder, scenario):
    environment = {
        **os.environ,
        "WANDB_SILENT": "true",
        "WANDB_MODE": "offline",
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [warm_python(), str(SCRIPT), scenario], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def figures(run):
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def logged_steps(folder):
    (log,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    return [row["train/global_step"] for row in rows if "train/loss" in row]


@pytest.mark.slow
@pytest.mark.train
def test_a_fenced_callback_logs_what_the_original_logs(tmp_path):
    found = figures(train(tmp_path, "plain"))
    assert (found["steps"], found["fenced_callbacks"], found["is_same_fence"]) == (STEPS, 1, True)
    assert (found["dropped"], found["failed"], found["last_error"]) == (0, 0, None)
    assert found["offered"] == found["written"] > STEPS
    assert logged_steps(tmp_path) == list(range(1, STEPS + 1))


@pytest.mark.slow
@pytest.mark.train
def test_the_original_callback_stops_training_when_its_service_is_killed(tmp_path):
    """The defect that the fence is for: if this ever passes without it, the fence can go."""
    run = train(tmp_path, "unfenced")
    assert run.returncode != 0
    assert "Connection" in run.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.train
def test_training_goes_on_when_the_service_is_killed_and_says_so_once(tmp_path):
    run = train(tmp_path, "killed")
    found = figures(run)
    assert found["steps"] == STEPS
    assert found["failed"] > 0
    assert found["written"] + found["failed"] + found["dropped"] == found["offered"]
    assert "Connection" in found["last_error"]
    assert run.stderr.count("training goes on without it") == 1


@pytest.mark.slow
@pytest.mark.train
def test_training_goes_on_when_the_service_hangs(tmp_path):
    found = figures(train(tmp_path, "hung"))
    assert found["steps"] == STEPS
    assert found["dropped"] > 0
    assert found["written"] + found["failed"] + found["dropped"] == found["offered"]
    assert found["last_error"] == "on_log did not return within 1 s"
    assert found["train_s"] < 60


@pytest.mark.slow
@pytest.mark.train
def test_a_callback_of_the_users_own_is_fenced_too(tmp_path):
    run = train(tmp_path, "subclass")
    found = figures(run)
    assert (found["steps"], found["failed"]) == (STEPS, STEPS)
    assert found["last_error"] == "on_step_end: RuntimeError: on purpose"
    assert run.stderr.count("training goes on without it") == 1
    assert logged_steps(tmp_path) == list(range(1, STEPS + 1))


def test_the_original_callback_has_the_state_that_the_fence_reads():
    assert "_initialized" in WandbCallback.__init__.__code__.co_names
    assert {"setup", "on_log", "on_train_begin", "on_train_end"} <= set(vars(WandbCallback))


def test_each_outage_says_itself_once_and_a_recovery_ends_it(caplog):
    def fail():
        raise OSError(28, "no space")

    fence = Fence()
    with caplog.at_level(logging.ERROR):
        for call in (fail, fail, lambda: 7, fail):
            fence.run("on_log", call)
            fence.run("on_save", lambda: None)
    assert len(caplog.records) == 2
    report = fence.report()
    assert (report.offered, report.written, report.failed, report.dropped) == (8, 5, 3, 0)


def test_a_call_that_hangs_is_left_behind_and_counted_once_it_returns():
    gate = threading.Event()
    fence = Fence(patience_s=0.05)
    fence.run_within("on_log", gate.wait)
    assert fence.run("on_save", lambda: 7) is None
    fence.run_within("on_log", lambda: None)
    assert (fence.report().written, fence.report().dropped) == (0, 3)
    gate.set()
    while fence.report().written == 0:
        pass
    fence._left_behind.join()
    assert fence.run("on_save", lambda: 7) == 7
    assert (fence.report().written, fence.report().dropped) == (2, 2)


def test_an_interrupt_passes_the_fence():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Fence().run("on_log", interrupt)
