"""What the training scripts share: flags from dataclasses, settings that fit the machine."""

import http.server
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from typer import Option
from typer.testing import CliRunner

from rlvr.cli.scripts import script_app, with_flags
from rlvr.errors import ConfigurationError, InferenceError
from rlvr.trainers.choices import WeightSync
from rlvr.trainers.options import Machine, TrainingOptions
from rlvr.trainers.starting import check_server


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    steps: Annotated[int, Option(min=1, help="How many.")] = 3
    fast: Annotated[bool, Option(help="In a hurry.")] = False


def test_fields_of_a_dataclass_become_flags():
    app, given = script_app(), []

    @app.command()
    @with_flags
    def go(*, name: Annotated[str, Option(help="Whose.")] = "x", pace: Pace) -> None:
        given.append((name, pace))

    result = CliRunner().invoke(app, ["go", "--steps", "5", "--fast", "--name", "y"])
    assert result.exit_code == 0, result.output
    assert given == [("y", Pace(steps=5, fast=True))]
    assert CliRunner().invoke(app, ["go", "--steps", "0"]).exit_code == 2
    assert "In a hurry." in CliRunner().invoke(app, ["go", "--help"]).output


@pytest.mark.parametrize(
    ("options", "machine", "cpu", "bf16"),
    [
        ({}, Machine(cuda=True), False, True),
        ({}, Machine(cuda=False), True, False),
        ({}, Machine(cuda=False, deepspeed=True), True, True),
        ({"bf16": False}, Machine(cuda=False, deepspeed=True), True, False),
        ({"cpu": True}, Machine(cuda=True), True, False),
        ({"bf16": False}, Machine(cuda=True), False, False),
    ],
)
def test_device_and_precision_fit_the_machine(options, machine, cpu, bf16):
    training = TrainingOptions(**options)
    assert training.on_cpu(machine) is cpu
    assert training.in_bf16(machine) is bf16
    assert bool(training.adjustments(machine)) is cpu


def test_without_wandb_the_others_still_report():
    training = TrainingOptions(report_to="wandb, tensorboard")
    assert training.reporters(Machine(cuda=True)) == ["wandb", "tensorboard"]
    absent = Machine(cuda=True, wandb=False)
    assert training.reporters(absent) == ["tensorboard"]
    assert "pip install 'rlvr[wandb]'" in training.adjustments(absent)[0]
    assert TrainingOptions(report_to="none").adjustments(absent) == ()


@pytest.mark.train
def test_launched_processes_that_would_train_alone_are_refused(tmp_path):
    training = TrainingOptions(output_dir=tmp_path, report_to="none", gradient_checkpointing=False)
    with pytest.raises(
        ConfigurationError, match="2 processes were launched, but each trains alone"
    ):
        training.config(Machine(cuda=False, processes=2))


def test_latest_is_the_checkpoint_with_the_highest_number(tmp_path):
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text('{"global_step": 1}')
    training = TrainingOptions(output_dir=tmp_path, resume="latest")
    assert training.checkpoint(print) == str(tmp_path / "checkpoint-10")
    assert TrainingOptions(output_dir=tmp_path).checkpoint(print) is None
    with pytest.raises(ConfigurationError, match=r"trainer_state\.json"):
        TrainingOptions(output_dir=tmp_path, resume=str(Path(tmp_path))).checkpoint(print)


def test_a_server_is_waited_for_and_then_named_with_remedies():
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            if self.path == "/v1/models":
                self.wfile.write(b'{"data": [{"id": "m", "max_model_len": 64}]}')

        def do_POST(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Healthy)
    there = {"vllm_port": server.server_port, "max_seq_len": 64}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    check_server(TrainingOptions(**there), model="m")
    with pytest.raises(ConfigurationError, match="serves m, and n is to be trained"):
        check_server(TrainingOptions(**there), model="n")
    with pytest.raises(ConfigurationError, match="--max-model-len 65"):
        check_server(TrainingOptions(**there | {"max_seq_len": 65}), model="m")
    with pytest.raises(ConfigurationError, match="VLLM_SERVER_DEV_MODE=1"):
        check_server(TrainingOptions(**there, weight_sync=WeightSync.FILES), model="m")
    with pytest.raises(ConfigurationError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"):
        check_server(TrainingOptions(**there, weight_sync=WeightSync.ADAPTER), model="m")
    server.shutdown()
    thread.join()
    server.server_close()
    with pytest.raises(InferenceError, match="vf-vllm --model m") as caught:
        check_server(TrainingOptions(**there, vllm_timeout=0), model="m")
    assert "--inference embedded" in str(caught.value)


@pytest.mark.train
def test_a_command_line_keeps_its_numbers_and_masks_its_secrets():
    from rlvr.trainers.run_info import command_line

    shown = command_line(["t.py", "--max-tokens", "48", "--hf-token", "abc", "--api-key=xyz"])
    assert shown == "t.py --max-tokens 48 --hf-token '[redacted]' '--api-key=[redacted]'"
