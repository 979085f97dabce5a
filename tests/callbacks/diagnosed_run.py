"""A diagnosed training in a process of its own.

Usage: diagnosed_run.py wandb|killed|two OUTPUT_DIR. Prints the step at which it ended, once a
process.

wandb: the trainer as upstream ships it, logging to an offline W&B run; killed: the same, and the
W&B service dies in the middle; two: a constant reward, stopped, in two processes.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch.distributed
from transformers import TrainerCallback

from rlvr.callbacks import DiagnosisCallback
from trainings import demo_policy, echo_environment, questions, trainer


class Killer(TrainerCallback):
    """Kills the W&B service at the third step."""

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 3:
            os.kill(service_pid(), signal.SIGKILL)
            time.sleep(1.0)


def service_pid():
    """The process id of the wandb-core that this process started."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return next(
        int(pid) for pid in listed if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def broken(folder, scenario):
    training = trainer(
        folder,
        policy=demo_policy(),
        environment=questions(),
        repairs="generation_errors",
        max_steps=6,
        report_to=["wandb"],
        callbacks=[DiagnosisCallback(every=2)],
    )
    if scenario == "killed":
        training.add_callback(Killer())
    return training


def in_two_processes(folder):
    return trainer(
        folder,
        environment=echo_environment(reward=constant, count=64),
        per_device_train_batch_size=4,
        max_steps=12,
        ddp_backend="gloo",
        callbacks=[DiagnosisCallback(every=2, stop_without_signal=2)],
    )


def constant(completion):
    return 0.0


def main(scenario, folder):
    training = in_two_processes(folder) if scenario == "two" else broken(folder, scenario)
    training.train()
    print(json.dumps(training.state.global_step), flush=True)
    if scenario == "killed":
        os._exit(0)  # W&B's own exit hook can't reach its service any more
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
