"""One way to write one workload, measured in a process of its own. Prints a JSON object.

    python -m benchmarks.out_of_the_way.case --way rlvr --trajectories 64 --tokens 3000 --turns 4

Memory is the peak of the resident set above what it was before the first step, the records
themselves included: each step's texts and arrays are new. Processor time is that of this process
and its children, less the making of records.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.out_of_the_way.workload import Rollouts, Workload
from benchmarks.out_of_the_way.writers import WAYS, Writer

from rlvr.record import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one way costs a step, for `trajectories` of the workload's length.

    held_up_s: medians of the seconds that training waits, on the clock and of its own thread's
    processor time. wall_s: until the step is on disk. cpu_s: of all threads and children.
    """

    way: str
    trajectories: int
    held_up_s: float
    held_up_cpu_s: float
    wall_s: float
    cpu_s: float
    peak_bytes: int
    disk_bytes: int


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--way", choices=list(WAYS), required=True)
    parser.add_argument("--trajectories", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--details", action="store_true")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--back-to-back", action="store_true", help="hand over without waiting")
    options = parser.parse_args(arguments)
    workload = Workload(
        trajectories=options.trajectories,
        tokens=options.tokens,
        turns=options.turns,
        details=options.details,
    )
    print(
        json.dumps(
            asdict(measure(options.way, workload, options.steps, back_to_back=options.back_to_back))
        )
    )


def measure(way: str, workload: Workload, steps: int, *, back_to_back: bool = False) -> Cost:
    """Write the steps after one that warms up."""
    rollouts = Rollouts(workload)
    small = Rollouts(Workload(trajectories=8, tokens=600, turns=1, details=workload.details))
    with tempfile.TemporaryDirectory() as folder, _silent_stdout():
        writer = WAYS[way](Path(folder))
        writer.write(small.at_step(0))
        writer.finish()
        timer = _Timer(writer, back_to_back=back_to_back)
        before = _rest()
        used = _processor_s()
        for step in range(1, steps + 1):
            timer.step(step, rollouts)
        writer.finish()
        # Children count once they have ended.
        writer.close()
        return Cost(
            way=way,
            trajectories=workload.trajectories,
            held_up_s=statistics.median(timer.held_up),
            held_up_cpu_s=statistics.median(timer.held_up_cpu),
            wall_s=statistics.median(timer.wall),
            cpu_s=(_processor_s() - used - timer.making_s) / steps,
            peak_bytes=_peak() - before,
            disk_bytes=_size(Path(folder)) // steps,
        )


class _Timer:
    """Hands steps over and keeps what each took."""

    def __init__(self, writer: Writer, *, back_to_back: bool) -> None:
        self._writer = writer
        self._back_to_back = back_to_back
        self.making_s = 0.0
        self.held_up: list[float] = []
        self.held_up_cpu: list[float] = []
        self.wall: list[float] = []

    def step(self, step: int, rollouts: Rollouts) -> None:
        made = time.thread_time()
        rows = rollouts.at_step(step)
        self.making_s += time.thread_time() - made
        self._hand_over(rows)

    def _hand_over(self, rows: Sequence[Trajectory]) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        self._writer.write(rows)
        self.held_up.append(time.perf_counter() - wall)
        self.held_up_cpu.append(time.thread_time() - cpu)
        if not self._back_to_back:
            self._writer.finish()
        self.wall.append(time.perf_counter() - wall)


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """What a library prints goes nowhere; the result must be all that stands on stdout."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _rest() -> int:
    """Forget past peaks; resident bytes now, with what was freed given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) << 10
    raise SystemExit(f"/proc/self/status has no {field}: this needs Linux.")


def _processor_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main(sys.argv[1:])
