"""What recording costs, beside other ways to write the same rollouts, and whether that is little.

    make bench                                            # everything, some 25 minutes
    python -m benchmarks.out_of_the_way --quick           # every column in miniature, no figures
    python -m benchmarks.out_of_the_way --only writing --workloads "64 x 3k"
    python -m benchmarks.out_of_the_way --json > cost.json
    python -m benchmarks.out_of_the_way --show cost.json  # the tables of figures taken before

Every case runs in a process of its own, the rounds one after another, and medians are given, so
that a machine that grows slower slows all ways. Inspect's writer runs in an environment of its own,
--inspect PYTHON; without it that column is empty. docs/cost.md says how each figure is taken.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.out_of_the_way.case import Cost
from benchmarks.out_of_the_way.figures import Figures, load
from benchmarks.out_of_the_way.pictures import draw
from benchmarks.out_of_the_way.report import pages
from benchmarks.out_of_the_way.workload import Workload
from benchmarks.out_of_the_way.writers import KEEP_TOKENS, WAYS
from rich.console import Console

ROOT = Path(__file__).parents[2]
PARTS = ("writing", "memory", "training", "long")
SLOW_SHARE = 16
"""Of the longest rollouts' token details, other ways than ours are given this many rollouts: as
text they would take minutes a step. Their figures are scaled up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a workload is measured: steps of a writing case, rounds, and training steps."""

    workload: Workload
    steps: int
    rounds: int
    step_seconds: float
    pairs: int


def plans(*, quick: bool) -> list[Plan]:
    """The workloads of the targets, or one that takes no time."""
    if quick:
        tiny = Workload(trajectories=8, tokens=600, turns=1, details=False)
        return [Plan(workload=tiny, steps=1, rounds=1, step_seconds=0.05, pairs=2)]
    small = Workload(trajectories=64, tokens=3_000, turns=4, details=False)
    large = replace(small, trajectories=1_024)
    long = Workload(trajectories=256, tokens=64_000, turns=24, details=False)
    return [
        Plan(
            workload=replace(workload, details=details),
            steps=steps,
            rounds=rounds,
            step_seconds=seconds,
            pairs=pairs,
        )
        for workload, steps, rounds, seconds, pairs in (
            (small, 10, 2, 4.0, 5),
            (large, 2, 1, 10.0, 2),
            (long, 1, 1, 15.0, 2),
        )
        for details in (False, True)
    ]


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workloads", nargs="+", help="names, as the tables have them")
    parser.add_argument("--steps", type=int, default=5_040, help="steps of the long run")
    parser.add_argument("--inspect", help="a Python that has inspect_ai and pyarrow")
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    parser.add_argument("--json", action="store_true", help="a line after each part, growing")
    parser.add_argument(
        "--show", nargs="+", type=Path, help="print figures of --json, put together"
    )
    parser.add_argument("--pictures", type=Path, help="a folder to draw two pictures into")
    options = parser.parse_args(arguments)
    figures = Figures()
    taken = (
        [load([path.read_text() for path in options.show])] if options.show else measure(options)
    )
    for figures in taken:
        if options.json:
            print(json.dumps(asdict(figures)), flush=True)
    if options.pictures:
        draw(figures, options.pictures)
    if options.json:
        return
    console = Console(width=None if sys.stdout.isatty() else 120)
    for page in pages(figures):
        console.print(page)


def measure(options: argparse.Namespace) -> Iterator[Figures]:
    """The figures after each part that is asked for, growing."""
    figures = Figures()
    for plan in plans(quick=options.quick):
        name = plan.workload.name
        if options.workloads and name not in options.workloads:
            continue
        if "writing" in options.only:
            figures.costs[name] = writing(plan, options.inspect)
            yield figures
        if "memory" in options.only:
            figures.crowded[name] = Cost(**_case("rlvr", plan.workload, 3, "--back-to-back"))
            yield figures
        if "training" in options.only:
            figures.felt[name] = _felt(plan)
            yield figures
    if "long" in options.only:
        steps = 60 if options.quick else options.steps
        figures.set_long(_run("long_run", "--steps", str(steps)))
        yield figures


def writing(plan: Plan, inspect: str | None) -> dict[str, Cost]:
    """The medians of each way, the rounds taken in turn."""
    found: dict[str, list[Cost]] = {}
    for _ in range(plan.rounds):
        for way in WAYS:
            if plan.workload.details and way not in KEEP_TOKENS:
                continue
            if way == "inspect" and inspect is None:
                continue
            workload = plan.workload
            if way != "rlvr" and workload.details and workload.tokens > 10_000:
                workload = replace(workload, trajectories=SLOW_SHARE)
            python = inspect if way == "inspect" and inspect else sys.executable
            cost = Cost(**_case(way, workload, plan.steps, python=python))
            found.setdefault(way, []).append(cost)
    return {way: _median(costs) for way, costs in found.items()}


def _median(costs: Sequence[Cost]) -> Cost:
    numbers: dict[str, Any] = {
        name: statistics.median(getattr(cost, name) for cost in costs)
        for name in ("held_up_s", "held_up_cpu_s", "wall_s", "cpu_s", "peak_bytes", "disk_bytes")
    }
    return replace(costs[0], **numbers)


def _felt(plan: Plan) -> Any:
    from benchmarks.out_of_the_way.training import Felt

    seconds = ("--step-seconds", str(plan.step_seconds), "--pairs", str(plan.pairs))
    return Felt(**_run("training", *_shape(plan.workload), *seconds))


def _case(
    way: str, workload: Workload, steps: int, *more: str, python: str = sys.executable
) -> Mapping[str, Any]:
    arguments = ("--way", way, "--steps", str(steps), *_shape(workload), *more)
    return _run("case", *arguments, python=python)


def _shape(workload: Workload) -> Iterator[str]:
    yield from ("--trajectories", str(workload.trajectories), "--tokens", str(workload.tokens))
    yield from ("--turns", str(workload.turns))
    if workload.details:
        yield "--details"


def _run(module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """What a module of ours prints, run in a process of its own."""
    command = [python, "-m", f"benchmarks.out_of_the_way.{module}", *arguments]
    print(" ".join(command[2:]), file=sys.stderr, flush=True)
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
