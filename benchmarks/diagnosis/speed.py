"""What `rlvr diagnose` takes for recorded runs: CPU for reading and each detector, and memory.

    python -m benchmarks.diagnosis.speed RUN...
    python -m benchmarks.diagnosis.speed --made 100000 1000000 --folder /scratch/scale

`--made` measures made-up runs of so many rollouts (`benchmarks.scale`), in small files and
compacted; they stay in `--folder` and are used again. Every run is read by a process of its own.
Seconds are of CPU, so that other work on the machine counts little; those by the clock stand beside
them. Detectors of less than 0.05 s are summed up.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.scale import prepare
from benchmarks.scale.prepare import COMPACTED, SMALL, Data

from rlvr.diagnosis import DETECTORS, load_evidence
from rlvr.runs import Run, open_run

T = TypeVar("T")
_SMALL_S = 0.05


def timed(act: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and its CPU seconds."""
    before = time.process_time()
    result = act()
    return result, time.process_time() - before


def measure(run: Run) -> tuple[int, dict[str, float]]:
    """The rollouts, and CPU seconds by what they are spent on."""
    evidence, reading_s = timed(lambda: load_evidence(run))
    spent = {"reading": reading_s, "ledger": timed(lambda: evidence.ledger)[1], "others": 0.0}
    for detect in DETECTORS:
        name = detect.__module__.rpartition(".")[2]
        seconds = timed(lambda detect=detect: detect(evidence))[1]  # type: ignore[misc]
        spent["others" if seconds < _SMALL_S else name] = (
            spent["others"] + seconds if seconds < _SMALL_S else seconds
        )
    return len(evidence.rollouts), spent


def shown(place: Path) -> str:
    """A line for one run, which this process has read alone."""
    began = time.perf_counter()
    rollouts, spent = measure(open_run(place))
    clock = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in spent.items())
    return (
        f"{rollouts:,} rollouts: {sum(spent.values()):.2f} s of CPU ({parts}),"
        f" {clock:.1f} s by the clock, peak {peak_mb:.0f} MB"
    )


def made(rollouts: Sequence[int], folder: Path) -> Iterator[Path]:
    """Made-up runs of these sizes, in small files and compacted."""
    for count in rollouts:
        data = Data(folder=folder / str(count), rollouts=count)
        prepare.small(data)
        prepare.compacted(data)
        yield from (data.run(SMALL), data.run(COMPACTED))


def main(arguments: Sequence[str]) -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--made", nargs="+", type=int, default=[], help="rollouts of made-up runs")
    parser.add_argument("--folder", type=Path, help="keep the made-up runs here")
    options = parser.parse_args(arguments)
    if len(options.runs) == 1 and not options.made:
        print(shown(options.runs[0]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        for place in (*options.runs, *made(options.made, options.folder or Path(temporary))):
            print(f"{place}:", flush=True)
            command = [sys.executable, "-m", "benchmarks.diagnosis.speed", str(place)]
            subprocess.run(command, check=True, cwd=prepare.ROOT, env=prepare.environment())


if __name__ == "__main__":
    main(sys.argv[1:])
