"""Does a small model learn to use the python tool, whatever the seed?

Trains the bundled policy with scripts/train_math_python.py once a seed, on other problems each
time, and reads from the recorded runs how often it was right and how often it called the tool, at
the first step and over the last ten.

    python benchmarks/math_demo.py --seeds 5               # trains, in some fifteen minutes
    python benchmarks/math_demo.py --seeds 5 --curve       # the mean over the seeds, by step, too
    python benchmarks/math_demo.py --seeds 5 --read        # trains nothing
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rlvr

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_math_python.py"
STEPS = 60
LAST = 10
OPTIONS = (
    "train --model demo --max-level 1 --prompt-style brief --max-turns 3 --inference embedded"
    " --max-tokens 64 --max-seq-len 384 --learning-rate 3e-4 --lr-scheduler constant"
    " --batch-size 64 --gradient-accumulation-steps 1 --loss-type bnpo --scale-rewards"
    f" --max-steps {STEPS} --save-steps 0 --report-to none"
).split()
"""A step has 64 rollouts, of 8 problems. 3,500 rows hold some 500 problems of level 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One run, by step: shares of its rollouts, and the seconds that all of it took."""

    seed: int
    correct: tuple[float, ...]
    called: tuple[float, ...]
    used: tuple[float, ...]
    duration_s: float


def main(argv: Sequence[str] | None = None) -> None:
    asked = _options().parse_args(argv)
    runs = []
    for seed in range(asked.seeds):
        folder = asked.out / f"seed-{seed}"
        if not asked.read:
            train(seed, folder)
        runs.append(read(seed, folder))
    _show(runs)
    if asked.curve:
        _show_curve(runs)


def train(seed: int, folder: Path) -> None:
    """One training, in a process of its own, recorded in `folder`."""
    datasets = f"synthetic,seed-{seed},train[:3500]"
    own = ["--datasets", datasets, "--seed", str(seed), "--output-dir", str(folder)]
    began = time.perf_counter()
    folder.mkdir(parents=True)
    with (folder / "training.log").open("w") as log:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *OPTIONS, *own],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        sys.exit(f"seed {seed}: the training failed; read {folder / 'training.log'}")
    (folder / "seconds").write_text(str(time.perf_counter() - began))


def read(seed: int, folder: Path) -> Curves:
    """The shares by step of the run that was recorded in `folder`."""
    steps: dict[int, list[tuple[float, ...]]] = {}
    for trajectory in rlvr.open_run(folder).trajectories(mode="train", tokens=False):
        value = {component.name: component.value or 0.0 for component in trajectory.components}
        shares = (value["correct"], float(value["tool_calls"] > 0), value["tool_use"])
        steps.setdefault(trajectory.step, []).append(shares)
    means = [[statistics.fmean(c) for c in zip(*steps[n], strict=True)] for n in sorted(steps)]
    correct, called, used = (tuple(column) for column in zip(*means, strict=True))
    seconds = float((folder / "seconds").read_text())
    return Curves(seed=seed, correct=correct, called=called, used=used, duration_s=seconds)


def _show(runs: Sequence[Curves]) -> None:
    print("| seed | right: first step | last ten | called: first step | last ten | seconds |")
    print("|---|---|---|---|---|---|")
    for run in runs:
        shares = [f"{by[0]:.0%} | {_end(by):.1%}" for by in (run.correct, run.called)]
        print(f"| {run.seed} | {' | '.join(shares)} | {run.duration_s:.0f} |")


def _show_curve(runs: Sequence[Curves]) -> None:
    print("\n| steps | right | called the tool | got a result |")
    print("|---|---|---|---|")
    for start in range(0, STEPS, 5):
        stop = start + 5
        kinds = zip(*((run.correct, run.called, run.used) for run in runs), strict=True)
        means = [statistics.fmean(v for by in kind for v in by[start:stop]) for kind in kinds]
        print(f"| {start} to {stop - 1} | {' | '.join(f'{mean:.0%}' for mean in means)} |")


def _end(by_step: Sequence[float]) -> float:
    return statistics.fmean(by_step[-LAST:])


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--out", type=Path, default=Path("outputs/math_demo"), help="the records")
    parser.add_argument("--curve", action="store_true", help="print the mean curve too")
    parser.add_argument("--read", action="store_true", help="read what was trained before")
    return parser


if __name__ == "__main__":
    main()
