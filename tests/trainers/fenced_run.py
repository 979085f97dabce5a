"""A minimal Trainer that logs to an offline W&B run, run by the tests in a process of its own.

Usage: fenced_run.py plain|killed|hung|unfenced|subclass. Prints one JSON object at its end.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import WandbCallback

from rlvr.trainers.fenced_wandb import FencedWandbCallback, fence_wandb_callback

STEPS = 8


class Line(torch.nn.Module):
    """One weight and a quadratic loss."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, labels=None):
        return {"loss": ((self.weight * x - 1) ** 2).mean()}


class Breaker(TrainerCallback):
    """Breaks the W&B service in the middle of training."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.service = None

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step != STEPS // 2 or self.scenario in ("plain", "subclass"):
            return
        import wandb

        self.service = service_pid()
        os.kill(self.service, signal.SIGSTOP if self.scenario == "hung" else signal.SIGKILL)
        if self.scenario == "hung":
            threading.Thread(target=clog, args=(wandb.run,), daemon=True).start()
        time.sleep(1.0)


class Failing(WandbCallback):
    """A user's own callback, with an event that fails."""

    def on_step_end(self, args, state, control, **kwargs):
        raise RuntimeError("on purpose")


def service_pid():
    """The process id of the wandb-core that this process started."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return next(
        int(pid) for pid in listed if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def clog(run):
    """Fill the socket to a service that does not read, so that the next call blocks."""
    for _ in range(2000):
        run.log({"filler": "x" * 100_000})


def main(scenario):
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    breaker = Breaker(scenario)
    arguments = TrainingArguments(
        output_dir="out", max_steps=STEPS, logging_steps=1, save_strategy="no", use_cpu=True,
        report_to=["wandb"], run_name="test", disable_tqdm=True, per_device_train_batch_size=1,
    )  # fmt: skip
    trainer = Trainer(
        model=Line(), args=arguments, callbacks=[breaker],
        train_dataset=[{"x": torch.ones(1), "labels": torch.ones(1)}] * 16,
    )  # fmt: skip
    if scenario == "subclass":
        trainer.remove_callback(WandbCallback)
        trainer.add_callback(Failing())
    fence = None if scenario == "unfenced" else fence_wandb_callback(trainer, patience_s=1.0)
    again = fence if fence is None else fence_wandb_callback(trainer)
    kinds = [isinstance(c, FencedWandbCallback) for c in trainer.callback_handler.callbacks]
    started = time.monotonic()
    trainer.train()
    figures = {
        "steps": trainer.state.global_step,
        "train_s": time.monotonic() - started,
        "fenced_callbacks": sum(kinds),
        "is_same_fence": again is fence,
        **(asdict(fence.report()) if fence else {}),
    }
    print(json.dumps(figures), flush=True)
    if breaker.service is not None:
        if scenario == "hung":
            os.kill(breaker.service, signal.SIGKILL)
        os._exit(0)  # W&B's own exit hook can't reach its service any more
    import wandb

    wandb.finish()
    wandb.teardown()


if __name__ == "__main__":
    main(sys.argv[1])
