"""Launches of several processes as people type them, each on a port of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from warm import warm_python

ROOT = Path(__file__).parent.parent.parent
CONFIGS = ROOT / "configs"
HERE = Path(__file__).parent
WATCHED = HERE / "watched_training.py"
UNEVEN = HERE / "uneven_histories.py"
SCRIPT = ROOT / "scripts/train_musique.py"
FLAGS = tuple(
    (  # noqa: SIM905
        "train --model demo --datasets synthetic,seed-0,train[:64] --inference embedded"
        " --prompt-style brief --max-turns 5 --max-tokens 48 --max-seq-len 512"
        " --learning-rate 3e-4 --lr-scheduler constant --batch-size 8 --num-generations 4"
        " --gradient-accumulation-steps 1 --max-steps 2 --report-to none --save-steps 0"
        " --diagnose-every 0"
    ).split()
)
"""A training as people type it, of two steps of 8 rollouts a process."""

ON_CPU = {"DS_ACCELERATOR": "cpu", "DS_BUILD_OPS": "0"}

# DeepSpeed compiles an operation for the CPU the first time that it is used on a machine.
LIMIT_S = 280


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A launch that is over."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def said(self):
        return self.stdout + self.stderr


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def environment(**more):
    """One thread a process, no GPU, and what this test run has for Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {
        **os.environ,
        "PATH": path,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "tests"),
        "CUDA_VISIBLE_DEVICES": "",
        "TQDM_DISABLE": "1",
        **more,
    }


def accelerate(config, *command, processes=2, flags=(), python=None):
    return [
        python or warm_python(), "-m", "accelerate.commands.accelerate_cli", "launch",
        "--num-processes", str(processes), "--main_process_port", str(free_port()),
        "--config-file", str(CONFIGS / config), *flags, *map(str, command),
    ]  # fmt: skip


def torchrun(*command, processes=2, python=None):
    return [
        python or warm_python(), "-m", "torch.distributed.run", "--nproc-per-node", str(processes),
        "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{free_port()}", *map(str, command),
    ]  # fmt: skip


def start(command, **more):
    """Start a command in a process group of its own, so that all of it can be ended.

    What it launches runs in the same Python as itself.
    """
    return subprocess.Popen(
        command,
        env=environment(PYTHON_EXEC=command[0], **more),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process):
    """Kill what is left of a started command."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def launch(command, *, expect=0, **more):
    """Run a command to its end."""
    process = start(command, **more)
    try:
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    finally:
        end(process)
    done = Launched(returncode=process.returncode, stdout=stdout, stderr=stderr)
    assert done.returncode == expect, done.said[-6000:]
    return done


def watched(launcher, folder, *, environment=None, expect=0, **settings):
    """Launch the watched training; what each of two processes saw."""
    folder.mkdir(exist_ok=True, parents=True)
    for rank in range(2):
        (folder / f"seen-r{rank}.json").unlink(missing_ok=True)
    command = launcher(WATCHED, folder, json.dumps(settings))
    launch(command, expect=expect, **(environment or {}))
    return [json.loads((folder / f"seen-r{rank}.json").read_text()) for rank in range(2)]


def wide_policy(folder):
    """The demo's policy with neurons that do nothing, so that its layers exceed 100,000 weights.

    ZeRO-3 leaves smaller tensors whole on every process.
    """
    from rlvr.demo.policy import load_policy

    policy, tokenizer = load_policy()
    config = policy.config
    config.intermediate_size = 2048
    wide = type(policy)(config)
    weights = wide.state_dict()
    with torch.no_grad():
        for name, narrow in policy.state_dict().items():
            weights[name].zero_()
            weights[name][tuple(slice(0, size) for size in narrow.shape)] = narrow
    wide.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
