"""A training that is diagnosed while it runs."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from rlvr.callbacks import DiagnosisCallback
from rlvr.callbacks.findings_log import metrics
from rlvr.diagnosis import diagnose
from rlvr.diagnosis.simulated import Fault, faulty_run, simulated_evidence
from rlvr.errors import ConfigurationError
from rlvr.runs import find_runs
from trainings import demo_policy, echo_environment, questions, train, trainer
from warm import warm_python, warm_ranks

SCRIPT = Path(__file__).parent / "diagnosed_run.py"


def constant(completion):
    return 0.5


def run_alone(scenario, folder, launcher=()):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(SCRIPT.parent.parent),
        "CUDA_VISIBLE_DEVICES": "",
        "WANDB_SILENT": "true",
        "WANDB_MODE": "offline",
        **warm_ranks(),
        **{f"WANDB_{kind}_DIR": str(folder / kind) for kind in ("DATA", "CACHE", "CONFIG")},
    }
    done = subprocess.run(
        [warm_python(), *launcher, str(SCRIPT), scenario, str(folder / "out")],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def history(folder):
    """What an offline W&B run logged, one mapping a row."""
    (log,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


@pytest.mark.train
def test_a_healthy_training_goes_on_and_is_told_nothing(tmp_path, capfd):
    callback = DiagnosisCallback(every=2, stop_without_signal=1)
    trained = train(
        tmp_path, policy=demo_policy(), environment=questions(), max_steps=6, callbacks=[callback]
    )
    assert trained.trainer.state.global_step == 6
    assert 8 <= callback.verdict.rollouts <= 6 * 8  # the newest batch may not be written yet
    assert "error" not in str(callback.verdict.worst)
    assert "training stops" not in capfd.readouterr().err


@pytest.mark.train
def test_the_trainer_as_shipped_is_named_once(tmp_path, capfd):
    callback = DiagnosisCallback(every=2)
    train(
        tmp_path, policy=demo_policy(), environment=questions(), max_steps=6,
        repairs="generation_errors", callbacks=[callback],
    )  # fmt: skip
    assert callback.verdict.finding("context-not-attended").severity == "error"
    said = [line for line in capfd.readouterr().err.splitlines() if "diagnosis at step" in line]
    assert said
    assert "error: " in said[0]
    assert f"rlvr diagnose {tmp_path}" in said[0]
    assert sum("could not see" in line for line in said) == len(said) < 3


@pytest.mark.train
def test_a_run_without_signal_stops_when_the_diagnosis_after_the_last_is_due(tmp_path, capfd):
    callback = DiagnosisCallback(every=2, stop_without_signal=2)
    trained = train(
        tmp_path, environment=echo_environment(reward=constant, count=80), max_steps=20,
        callbacks=[callback],
    )  # fmt: skip
    assert trained.trainer.state.global_step == 6
    assert trained.run.steps("train") == list(range(6))
    said = capfd.readouterr().err
    assert "training stops at step 6: 2 diagnoses in a row" in said
    assert re.search(r"0 of (24|32) rollouts reached the gradient sound", said)
    assert "zero-variance group" in said


@pytest.mark.train
def test_a_second_training_is_judged_by_itself(tmp_path):
    training = trainer(
        tmp_path, environment=echo_environment(reward=constant, count=80), max_steps=4,
        callbacks=[DiagnosisCallback(every=2, stop_without_signal=1)],
    )  # fmt: skip
    for _ in range(2):
        training.train()
        assert training.state.global_step == 4
    assert len({run.id for run in find_runs(tmp_path)}) == 2


@pytest.mark.train
def test_without_being_asked_a_run_without_signal_goes_on(tmp_path):
    trained = train(
        tmp_path, environment=echo_environment(reward=constant), max_steps=6,
        callbacks=[DiagnosisCallback(every=2)],
    )  # fmt: skip
    assert trained.trainer.state.global_step == 6


@pytest.mark.train
def test_a_failing_diagnosis_is_logged_once_and_training_ends_well(tmp_path, caplog):
    nowhere = DiagnosisCallback(every=1, folder=tmp_path / "nowhere", stop_without_signal=1)
    with caplog.at_level(logging.ERROR):
        trained = train(tmp_path / "out", max_steps=4, callbacks=[nowhere])
    assert trained.trainer.state.global_step == 4
    assert nowhere.verdict is None
    failures = [r for r in caplog.records if "diagnosis failed" in r.getMessage()]
    assert len(failures) == 1
    assert "does not exist" in failures[0].getMessage()


@pytest.mark.train
@pytest.mark.slow
def test_wandb_has_shares_counts_and_the_findings(tmp_path):
    run_alone("wandb", tmp_path)
    rows = [row for row in history(tmp_path) if "rlvr/corrupted_share" in row]
    assert [row["train/global_step"] for row in rows] in ([2, 4, 6], [2, 6], [4, 6], [6])
    last = rows[-1]
    shares = [last[f"rlvr/{fate}_share"] for fate in ("sound", "lost", "corrupted", "unverified")]
    assert sum(shares) == pytest.approx(1.0)
    assert last["rlvr/sound_share"] == 0.0
    assert last["rlvr/findings_error"] >= 1
    tables = sorted(tmp_path.glob("wandb/offline-run-*/files/media/table/rlvr/findings_*.json"))
    table = json.loads(tables[-1].read_text())
    assert table["columns"] == ["Code", "Severity", "Finding", "Share", "Example"]
    found = {row[0]: row for row in table["data"]}
    assert found["context-not-attended"][1] == "error"
    command = found["context-not-attended"][4].split()
    assert command[:2] == ["rlvr", "show"]
    assert rlvr.open_run(command[2]).trajectory(command[3]).step < 6


@pytest.mark.train
@pytest.mark.slow
def test_a_dead_wandb_service_does_not_hurt(tmp_path):
    done = run_alone("killed", tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == 6
    assert rlvr.open_run(tmp_path / "out").steps("train") == list(range(6))
    assert "diagnosis at step" in done.stderr


@pytest.mark.train
@pytest.mark.slow
def test_two_processes_stop_at_the_same_step(tmp_path):
    launcher = (
        "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0",
        "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0",
    )  # fmt: skip
    done = run_alone("two", tmp_path, launcher)
    ended = [json.loads(line) for line in done.stdout.splitlines() if line.strip().isdigit()]
    assert ended == [6, 6]
    assert done.stderr.count("training stops at step 6") == 1


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"window": 0}, {"stop_without_signal": -1}], ids=str
)
def test_options_that_cannot_be_meant_are_refused(options):
    with pytest.raises(ConfigurationError, match=r"1\s+or more"):
        DiagnosisCallback(**options)


def test_the_logged_shares_are_those_of_the_ledger():
    verdict = diagnose(simulated_evidence(faulty_run(Fault.HIDDEN_CONTEXT, strength=0.5, steps=10)))
    logged = metrics(verdict)
    shares = {name: value for name, value in logged.items() if name.endswith("_share")}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert logged["rlvr/corrupted_share"] == pytest.approx(0.5, abs=0.1)
    assert logged["rlvr/findings_error"] >= 1
