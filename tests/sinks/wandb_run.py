"""A training loop with the W&B sink, run by the tests in a process of its own.

Usage: wandb_run.py SCENARIO STEPS. Prints one JSON object at its end.
"""

import json
import logging
import os
import signal
import statistics
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

from trajectories_for_sinks import batch

from rlvr.record import Mode
from rlvr.sinks import WandbSink


def children():
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed]


def service_pid():
    """The process id of the wandb-core that this process started."""
    for pid in children():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"wandb-core" in command:
            return pid
    raise RuntimeError("this process has no wandb-core")


def clog(run):
    """Fill the socket to a service that does not read, so that the next call blocks."""
    for _ in range(2000):
        run.log({"filler": "x" * 100_000})


def start_run(scenario):
    """The active run that the sink logs to; None where the scenario has none."""
    if scenario == "no_run":
        return None
    import wandb

    if scenario == "folder":
        assert not hasattr(wandb, "Table"), "the scenario needs wandb to be absent"
        return None
    run = wandb.init(project="rlvr-test", mode="offline", dir=".")
    run.define_metric("train/global_step")
    run.define_metric("*", step_metric="train/global_step", step_sync=True)
    return run


def break_service(scenario, run):
    """Kill or stop the service of the run, once the first table is written."""
    # A table's file is there before its log call has returned: four of them mean one that has.
    tables = 4 if scenario == "killed" else 1
    while len(list(Path("wandb").glob("*run-*/files/media/table/*"))) < tables:
        time.sleep(0.05)
    service = service_pid()
    os.kill(service, signal.SIGKILL if scenario == "killed" else signal.SIGSTOP)
    if scenario == "hung":
        threading.Thread(target=clog, args=(run,), daemon=True).start()
    return service


def train(sink, scenario, run, steps):
    """The loop: hands over batches and returns how long each hand-off took, and the service."""
    hand_off_s, service = [], None
    for step in range(steps):
        if step == steps // 2 and scenario in ("killed", "hung"):
            service = break_service(scenario, run)
        batches = [batch(step)] * (50 if scenario == "hung" else 1)
        if scenario == "plain":
            run.log({"train/loss": 1.0 / (step + 1), "train/global_step": step})
            batches += [batch(step, mode=Mode.EVAL)] if step % 5 == 4 else []
        for trajectories in batches:
            started = time.perf_counter()
            sink.offer(trajectories)
            hand_off_s.append(time.perf_counter() - started)
        time.sleep(0.05)
    return hand_off_s, service


def main(scenario, steps):
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    run = start_run(scenario)
    sink = WandbSink(
        components=("exact_match", "f1", "judge"), output_dir="out", linger_s=0.2,
        queue_batches=4 if scenario == "hung" else 1000,
    )  # fmt: skip
    hand_off_s, service = train(sink, scenario, run, steps)
    started = time.perf_counter()
    report = sink.close(1.0 if scenario == "hung" else 20.0)
    figures = {
        **asdict(report),
        "close_s": time.perf_counter() - started,
        "worst_hand_off_s": max(hand_off_s),
        "median_hand_off_s": statistics.median(hand_off_s),
    }
    print(json.dumps(figures), flush=True)
    if scenario == "hung":
        os.kill(service, signal.SIGKILL)
    if scenario in ("killed", "hung"):
        os._exit(0)  # W&B's own exit hook can't reach its service any more
    if run is not None:
        import wandb

        run.finish()
        wandb.teardown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
