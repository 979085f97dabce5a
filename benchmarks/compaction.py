"""What compacting a run of many small files saves: bytes on disk, and the time of common questions.

Records made-up rollouts, one small file a batch, asks, compacts with the recorder's own limits,
and asks again. Every question is asked of a run that is opened anew, in a warm cache; medians are
given.

    python -m benchmarks.compaction
    python -m benchmarks.compaction --files 500 --json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.out_of_the_way.workload import Rollouts, Workload
from rich.console import Console
from rich.table import Table

from rlvr.recorder import Recorder
from rlvr.runs import carry_out_compacting, open_run, plan_compacting

BATCH = 8
TOKENS = 1_500


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3, help="medians are given")
    parser.add_argument("--details", action="store_true", help="with token details")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record(folder, options.files, details=options.details)
        before = measured(folder, options.rounds)
        run = open_run(folder)
        began = time.perf_counter(), time.process_time()
        carry_out_compacting(run, plan_compacting(run))
        took = {
            "compacting_s": time.perf_counter() - began[0],
            "compacting_cpu_s": time.process_time() - began[1],
        }
        after = measured(folder, options.rounds)
    if options.json:
        found = {"before": before, "after": after, **took}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    Console().print(table(before, after, options.files))
    Console().print(
        f"compacting: {took['compacting_s']:.1f} s, of CPU {took['compacting_cpu_s']:.1f} s"
    )


def record(folder: Path, files: int, *, details: bool) -> None:
    """Record so many small files."""
    workload = Workload(trajectories=BATCH, tokens=TOKENS, turns=3, details=details)
    with Recorder.open(folder, compact=False) as recorder:
        for step in range(files):
            recorder.record_batch(Rollouts(workload, seed=step).at_step(step))
            if step % 64 == 0 and not recorder.flush(600):
                raise SystemExit("the disk is too slow to record this")


def measured(folder: Path, rounds: int) -> dict[str, float]:
    """Files, bytes, and the median seconds of each question."""
    paths = list((open_run(folder).path / "trajectories").rglob("*.parquet"))
    last = max(open_run(folder).steps())
    id = next(open_run(folder).trajectories(step=last // 2, tokens=False)).id or ""
    questions: Mapping[str, Callable[[], object]] = {
        "all scalar columns": lambda: open_run(folder).to_arrow(),
        "reward of every rollout": lambda: open_run(folder).to_arrow(["step", "reward"]),
        "scalars of one step": lambda: open_run(folder).to_arrow(step=last // 2),
        "one trajectory by its id": lambda: open_run(folder).trajectory(id),
        "every trajectory, decoded": lambda: sum(1 for _ in open_run(folder).trajectories()),
        "status": lambda: open_run(folder).status(),
    }
    found: dict[str, float] = {
        "files": len(paths),
        "bytes": sum(path.stat().st_size for path in paths),
    }
    return found | {what: seconds(ask, rounds) for what, ask in questions.items()}


def seconds(ask: Callable[[], object], rounds: int) -> float:
    """Median seconds of a question."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def table(before: Mapping[str, float], after: Mapping[str, float], files: int) -> Table:
    """For people."""
    shown = Table("", "small files", "compacted", "ratio", title=f"{files:,} batches of {BATCH}")
    for what, was in before.items():
        scale, unit = (1.0, "") if what in ("files", "bytes") else (1e3, " ms")
        numbers = (f"{value * scale:,.0f}{unit}" for value in (was, after[what]))
        shown.add_row(what, *numbers, f"{was / max(after[what], 1e-9):.1f}")
    return shown


if __name__ == "__main__":
    main(sys.argv[1:])
