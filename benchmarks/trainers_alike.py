"""Do both trainers learn alike, from the same checkpoint, data and settings?

Trains the bundled policy of each task with scripts/train_TASK.py, once a seed under verifiers'
repaired trainer and once under TRL's, and compares the mean reward of the last ten steps, read from
the recorded runs: the difference of each seed, and the mean of them with its interval of 95 %
(Student's t).

    python benchmarks/trainers_alike.py musique --seeds 5       # trains, in a quarter of an hour
    python benchmarks/trainers_alike.py math_python --seeds 5   # in half an hour
    python benchmarks/trainers_alike.py musique --seeds 5 --read   # trains nothing
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rlvr
from rlvr.analysis import mean_rewards

SCRIPTS = Path(__file__).parents[1] / "scripts"
TRAINERS = ("verifiers", "trl")
LAST = 10
STEPS = 60
SETTINGS = (
    "train --model demo --prompt-style brief --inference embedded --learning-rate 3e-4"
    " --lr-scheduler constant --batch-size 64 --gradient-accumulation-steps 1 --loss-type bnpo"
    f" --scale-rewards --max-steps {STEPS} --save-steps 0 --report-to none --diagnose-every 0"
).split()
OF_TASK = {
    "musique": (
        "synthetic,seed-{seed},train[:480]",
        ["--max-turns", "5", "--max-tokens", "48", "--max-seq-len", "512"],
    ),
    "math_python": (
        "synthetic,seed-{seed},train[:3500]",
        ["--max-level", "1", "--max-turns", "3", "--max-tokens", "64", "--max-seq-len", "384"],
    ),
}
"""Data, and what is not alike in the tasks."""
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's two-sided quantile of 95 %, by degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and the bounds of its interval of 95 %; NaN for fewer than two values."""

    mean: float
    low: float
    high: float


def main(argv: Sequence[str] | None = None) -> None:
    asked = _options().parse_args(argv)
    ends: list[tuple[float, ...]] = []
    for seed in range(asked.seeds):
        folders = [asked.out / asked.task / trainer / f"seed-{seed}" for trainer in TRAINERS]
        for trainer, folder in zip(TRAINERS, folders, strict=True):
            if not asked.read and not (folder / "trained").exists():
                train(asked.task, trainer, seed, folder)
        ends.append(tuple(reward_at_the_end(folder) for folder in folders))
        print(f"seed {seed}: {ends[-1][0]:.3f} verifiers, {ends[-1][1]:.3f} TRL", file=sys.stderr)
    _show(asked.task, ends)


def train(task: str, trainer: str, seed: int, folder: Path) -> None:
    """One training, in a process of its own, recorded in `folder`."""
    datasets, own = OF_TASK[task]
    chosen = ["--datasets", datasets.format(seed=seed), "--seed", str(seed), "--trainer", trainer]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "training.log").open("w") as log:
        done = subprocess.run(
            [
                *(sys.executable, str(SCRIPTS / f"train_{task}.py"), *SETTINGS, *own, *chosen),
                *("--output-dir", str(folder)),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        sys.exit(f"{trainer}, seed {seed}: the training failed; read {folder / 'training.log'}")
    (folder / "trained").touch()


def reward_at_the_end(folder: Path) -> float:
    """The mean reward of the last ten steps of the run that is recorded in a folder."""
    run = rlvr.open_run(folder)
    rewards = mean_rewards(run.to_arrow(["mode", "step", "reward"], mode="train"))
    return statistics.fmean(reward for _, reward in rewards[-LAST:] if reward is not None)


def interval_of(differences: Sequence[float]) -> Interval:
    """The mean of up to ten independent differences with its interval."""
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return Interval(mean=mean, low=math.nan, high=math.nan)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    half = T_95[len(differences) - 1] * error
    return Interval(mean=mean, low=mean - half, high=mean + half)


def _show(task: str, ends: Sequence[tuple[float, ...]]) -> None:
    print(f"| {task}, seed | verifiers, repaired | TRL | difference |\n|---|---|---|---|")
    differences = [trl - verifiers for verifiers, trl in ends]
    for seed, ((verifiers, trl), apart) in enumerate(zip(ends, differences, strict=True)):
        print(f"| {seed} | {verifiers:.3f} | {trl:.3f} | {apart:+.3f} |")
    found = interval_of(differences)
    means = [statistics.fmean(column) for column in zip(*ends, strict=True)]
    shown = f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    print(f"| mean | {means[0]:.3f} | {means[1]:.3f} | {shown} |")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=OF_TASK)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0; at most 10")
    parser.add_argument("--out", type=Path, default=Path("outputs/alike"), help="the records")
    parser.add_argument("--read", action="store_true", help="read what was trained before")
    return parser


if __name__ == "__main__":
    main()
