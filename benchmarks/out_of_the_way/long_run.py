"""Whether recording grows dearer: 5,000 small steps, each with annotations and metrics.

Each step hands over eight rollouts of 400 tokens, an annotation of each, and thirty metrics, and
waits until the batch is on disk. Per step: processor time of the hand-over on the training thread,
and of everything else in the process (encoding, writing, rewriting the counts, and the files of
annotations and metrics when their time comes). Clock time is kept too, and not judged.

    python -m benchmarks.out_of_the_way.long_run --steps 5040
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.out_of_the_way.workload import Rollouts, Workload

from rlvr.record import Annotation, MetricRow, Trajectory
from rlvr.recorder import Recorder

WINDOW = 80
WARM_UP = 10
BINS = 50
SMALL = Workload(trajectories=8, tokens=400, turns=1, details=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Costs around a step: medians and the mean of the processor seconds, and the clock's."""

    step: int
    held_up_s: float
    writer_s: float
    mean_s: float
    wall_s: float

    @property
    def processor_s(self) -> float:
        """Hand-over and writer together."""
        return self.held_up_s + self.writer_s


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRun:
    """A run's costs: the two windows that are compared, and medians all along it."""

    steps: int
    files: int
    early: Window
    late: Window
    curve: tuple[Window, ...]


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=5_000 + WINDOW // 2)
    options = parser.parse_args(arguments)
    print(json.dumps(asdict(long_run(options.steps))))


def long_run(steps: int) -> LongRun:
    """Run the steps; the windows are the first and the last, without the steps that warm up."""
    rollouts = Rollouts(SMALL)
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder.open(folder, wait_s=60)
        for step in range(steps):
            costs.append(_step(recorder, step, rollouts.at_step(step)))
        recorder.close(60)
        files = sum(1 for path in Path(folder).rglob("*") if path.is_file())
    window = min(WINDOW, (steps - WARM_UP) // 2)
    size = max(1, steps // BINS)
    return LongRun(
        steps=steps,
        files=files,
        early=_window(costs, WARM_UP, WARM_UP + window),
        late=_window(costs, steps - window, steps),
        curve=tuple(_window(costs, at, at + size) for at in range(WARM_UP, steps - size + 1, size)),
    )


def _step(recorder: Recorder, step: int, rows: Sequence[Trajectory]) -> tuple[float, float, float]:
    """(hand-over, everything else, clock), in seconds."""
    metrics = {f"reward/part_{number}": step + number / 7 for number in range(30)}
    wall, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
    stamped = recorder.stamp(rows)
    recorder.record_batch(stamped)
    recorder.annotate(
        [
            Annotation(
                id=row.id or "",
                kind="forward_evidence",
                source="rank 1",
                payload={"gap_mean": 1e-5, "attended_share": 1.0},
            )
            for row in stamped
        ]
    )
    recorder.metrics(
        MetricRow(step=step, attempt=0, mode="train", values=metrics, logged_at=time.time())
    )
    held_up = time.thread_time() - thread
    while recorder.report().queue_bytes:
        time.sleep(0.001)
    mine = time.thread_time() - thread
    others = time.process_time() - process - mine
    return held_up, others, time.perf_counter() - wall


def _window(costs: Sequence[tuple[float, float, float]], start: int, stop: int) -> Window:
    part = costs[start:stop]
    held_up, others, wall = zip(*part, strict=True)
    return Window(
        step=(start + stop) // 2,
        held_up_s=statistics.median(held_up),
        writer_s=statistics.median(others),
        mean_s=statistics.fmean(held_up) + statistics.fmean(others),
        wall_s=statistics.median(wall),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
