"""What a training step feels of the recording: seconds a step with it and without, in turn.

The training thread does fixed work, four fifths of it matrix products, which release the GIL, and
one fifth Python. A step's seconds leave out those in which the thread could run but the machine was
busy with something else (Linux counts them, `/proc/self/task/N/schedstat`): what remains is its own
processor time and what it was blocked, which is how another thread that holds the GIL shows.

The GIL alone is measured by a loop of pure Python, run until the writer has nothing left to write:
what that loop is blocked is the time for which the writer keeps the GIL from training.

    python -m benchmarks.out_of_the_way.training --trajectories 64 --tokens 3000 --turns 4
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from benchmarks.out_of_the_way.workload import Rollouts, Workload
from benchmarks.out_of_the_way.writers import Rlvr

from rlvr.record import Trajectory

PYTHON_SHARE = 0.2
MATRIX = 384
COUNTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Felt:
    """Seconds a step. `*_quartiles_s` are the first and third quartile over the steps.

    added_s: median over the pairs of a step with and one without, and its quartiles.
    held_up_s: in `record_batch`. gil_s: for which the writer held the GIL. writing_s: from the
    hand-over until all is on disk, with training at work beside it.
    """

    steps: int
    plain_s: float
    recorded_s: float
    added_s: float
    added_quartiles_s: tuple[float, float]
    held_up_s: float
    gil_s: float
    slowdown: float
    writing_s: float


class Clock:
    """Seconds of this thread that count: the clock's, less those spent waiting for a processor."""

    def __init__(self) -> None:
        self._file = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def now(self) -> tuple[float, float]:
        """(seconds that count, of them processor time)."""
        used, waited, _ = map(int, self._file.read_text().split())
        return time.perf_counter() - waited / 1e9, used / 1e9


class Work:
    """The fixed work of a step of some `seconds`."""

    def __init__(self, seconds: float) -> None:

        torch.set_num_threads(1)
        self._multiply = torch.mm
        self._matrix = torch.ones(MATRIX, MATRIX) / MATRIX
        product = _best(self._product)
        count = _best(_count)
        self._rounds = max(1, round(seconds * PYTHON_SHARE / count))
        self._products = max(1, round((1 - PYTHON_SHARE) / PYTHON_SHARE * count / product))

    def run(self) -> None:
        for _ in range(self._rounds):
            for _ in range(self._products):
                self._product()
            _count()

    def _product(self) -> None:
        self._multiply(self._matrix, self._matrix)


def _count() -> None:
    number = 0
    while number < COUNTS:
        number += 1


def _best(work: Callable[[], None]) -> float:
    """Seconds of the work, undisturbed."""
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trajectories", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--details", action="store_true")
    parser.add_argument("--step-seconds", type=float, default=2.0)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args(arguments)
    workload = Workload(
        trajectories=options.trajectories,
        tokens=options.tokens,
        turns=options.turns,
        details=options.details,
    )
    print(json.dumps(asdict(felt(workload, options.step_seconds, options.pairs))))


def felt(workload: Workload, step_seconds: float, pairs: int) -> Felt:
    """Run pairs of steps, the order turned from pair to pair, and then the loop."""
    rollouts, clock, work = Rollouts(workload), Clock(), Work(step_seconds)
    plain: list[float] = []
    recorded: list[float] = []
    held_up: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        writer = Rlvr(Path(folder))
        _step(writer, rollouts.at_step(0), clock, work)
        for pair in range(pairs):
            for with_recording in (False, True) if pair % 2 else (True, False):
                if not with_recording:
                    plain.append(_step(None, [], clock, work)[0])
                    continue
                step = _step(writer, rollouts.at_step(pair + 1), clock, work)
                recorded.append(step[0])
                held_up.append(step[1])
        gil = [
            _gil(writer, rollouts.at_step(pairs + 1 + turn), clock)
            for turn in range(max(2, pairs // 2))
        ]
        writer.close()
    added = [a - b for a, b in zip(recorded, plain, strict=True)]
    quartiles = statistics.quantiles(added, n=4) if len(added) > 1 else [added[0]] * 3
    return Felt(
        steps=pairs,
        plain_s=statistics.median(plain),
        recorded_s=statistics.median(recorded),
        added_s=statistics.median(added),
        added_quartiles_s=(quartiles[0], quartiles[2]),
        held_up_s=statistics.median(held_up),
        gil_s=statistics.median(held for held, _, _ in gil),
        slowdown=statistics.median(slow for _, slow, _ in gil),
        writing_s=statistics.median(wrote for _, _, wrote in gil),
    )


def _step(
    writer: Rlvr | None, rows: Sequence[Trajectory], clock: Clock, work: Work
) -> tuple[float, float]:
    """(seconds of the step, seconds in the hand-over). What is left to write is not waited for."""
    started, _ = clock.now()
    if writer is not None:
        writer.write(rows)
    handed_over, _ = clock.now()
    work.run()
    ended, _ = clock.now()
    if writer is not None:
        writer.finish()
    return ended - started, handed_over - started


def _gil(writer: Rlvr, rows: Sequence[Trajectory], clock: Clock) -> tuple[float, float, float]:
    """(seconds the loop was blocked, their share of its time, seconds until all was written)."""
    writer.write(rows)
    counted, used = clock.now()
    started = time.perf_counter()
    while writer.recorder.report().queue_bytes:
        _count()
    stopped, used_then = clock.now()
    wall = stopped - counted
    blocked = max(0.0, wall - (used_then - used))
    return blocked, blocked / wall if wall else 0.0, time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1:])
