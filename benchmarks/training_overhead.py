"""What recording costs a training: seconds a step without it, with it, and with token details.

    python benchmarks/training_overhead.py
    python benchmarks/training_overhead.py --rounds 5 --steps 12 --json

Trains the demo's policy with 64 rollouts a step in this process, each kind in turn and the order
turned round by round, so that a machine that grows slower slows all of them. A step is timed from
its start to the next one's; the first two steps of a training are left out. Beside the wall clock
stands the processor time of the whole process, the recorder's thread included, which other load on
the machine disturbs less.
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from verifiers.trainers import GRPOConfig

from rlvr.demo.policy import load_policy
from rlvr.environments.musique.verifiers import load_environment
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

WARM_UP = 2
ROLLOUTS, GROUP = 64, 8
KINDS: dict[str, dict[str, Any]] = {
    "nothing recorded": {"log_full_trajectories": False},
    "trajectories": {"log_full_trajectories": True},
    "and token details": {"log_full_trajectories": True, "log_token_details": True},
}


class StepTimes(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    """(wall, processor) seconds from the start of each step to the start of the next."""

    def __init__(self) -> None:
        self._starts: list[tuple[float, float]] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._starts.append((time.perf_counter(), time.process_time()))

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._starts.append((time.perf_counter(), time.process_time()))

    @property
    def seconds(self) -> list[tuple[float, float]]:
        pairs = zip(self._starts, self._starts[1:], strict=False)
        return [(stop[0] - start[0], stop[1] - start[1]) for start, stop in pairs][WARM_UP:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    kind: str
    steps: int
    wall_s: float
    wall_quartiles_s: tuple[float, float]
    wall_more: float
    processor_s: float
    processor_more: float


def train(steps: int, kind: dict[str, Any]) -> list[tuple[float, float]]:
    """Seconds of each step of one training, after the warm-up."""
    times = StepTimes()
    torch.manual_seed(0)
    model, tokenizer = load_policy()
    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder,
            max_steps=steps + WARM_UP,
            per_device_train_batch_size=ROLLOUTS,
            num_generations=GROUP,
            learning_rate=1e-6,  # the policy stays as it is, so that all kinds do the same work
            lr_scheduler_type="constant",
            loss_type="bnpo",
            beta=0.0,
            max_tokens=48,
            max_seq_len=512,
            max_prompt_length=512,
            num_batches_ahead=0,
            max_data_workers=None,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            seed=1,
        )
        trainer = EnhancedGRPOTrainer(
            model,
            load_environment("synthetic,seed-5,train[:256]", prompt_style="brief", max_turns=5),
            args,
            tokenizer,
            inference="embedded",
            callbacks=[times],
            **kind,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return times.seconds


def measure(rounds: int, steps: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of every step, by kind."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    names = list(KINDS)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            with contextlib.redirect_stderr(io.StringIO()):
                found[name] += train(steps, KINDS[name])
    return {name: found[name] for name in names}


def rows_of(seconds: dict[str, list[tuple[float, float]]]) -> list[Row]:
    """The table; the first kind is what the others are compared with."""
    walls = {kind: [wall for wall, _ in pairs] for kind, pairs in seconds.items()}
    busy = {kind: [used for _, used in pairs] for kind, pairs in seconds.items()}
    base = next(iter(seconds))
    wall_base, busy_base = statistics.median(walls[base]), statistics.median(busy[base])
    rows = []
    for kind in seconds:
        low, _, high = statistics.quantiles(walls[kind], n=4)
        wall, processor = statistics.median(walls[kind]), statistics.median(busy[kind])
        rows.append(
            Row(
                kind=kind,
                steps=len(walls[kind]),
                wall_s=wall,
                wall_quartiles_s=(low, high),
                wall_more=wall / wall_base - 1.0,
                processor_s=processor,
                processor_more=processor / busy_base - 1.0,
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a training")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable(logging.INFO)
    rows = rows_of(measure(options.rounds, options.steps))
    if options.json:
        figures = {
            "rollouts": ROLLOUTS,
            "rounds": options.rounds,
            "rows": [asdict(r) for r in rows],
        }
        print(json.dumps(figures))
        return
    print(f"{ROLLOUTS} rollouts a step, {options.rounds} trainings of each kind, medians")
    heads = f"{'wall s':>8}{'quartiles':>14}{'more':>8}{'processor s':>13}{'more':>8}{'steps':>7}"
    print(f"{'':20}{heads}")
    for row in rows:
        low, high = row.wall_quartiles_s
        print(
            f"{row.kind:20}{row.wall_s:8.3f}{f'{low:.2f}-{high:.2f}':>14}{row.wall_more:>+8.1%}"
            f"{row.processor_s:13.3f}{row.processor_more:>+8.1%}{row.steps:7}"
        )


if __name__ == "__main__":
    main()
