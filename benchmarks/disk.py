"""What a record takes on disk, part by part, and what keeping it below a size costs the writer.

Records steps of made-up rollouts of 3,000 tokens with token details, once without a limit and once
below a fifth of the size that this takes, in turn. A step is timed from handing it over until it is
written, pruning included; training waits for none of it as long as the queue has room.

    python -m benchmarks.disk
    python -m benchmarks.disk --steps 40 --batch 256 --json
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
from rich.console import Console
from rich.table import Table

from rlvr.record import Part
from rlvr.recorder import Recorder
from rlvr.store import folder_bytes
from rlvr.store.pruning import batch_names, batch_size

TOKENS = 3_000
LIMIT_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A run that was written: median seconds of its second half's steps, its largest size."""

    step_s: float
    largest_bytes: int
    lost: int
    token_bytes: float
    message_bytes: float
    other_bytes: float


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=256, help="trajectories in a step")
    parser.add_argument("--rounds", type=int, default=3, help="medians are given")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rollouts = Rollouts(
        Workload(trajectories=options.batch, tokens=TOKENS, turns=4, details=True), seed=0
    )
    free = write(rollouts, options.steps, None)
    limit = int(LIMIT_SHARE * free.largest_bytes)
    kinds: dict[str, list[Written]] = {"no limit": [free], "below a fifth": []}
    for _ in range(options.rounds):
        kinds["below a fifth"].append(write(rollouts, options.steps, limit))
        kinds["no limit"].append(write(rollouts, options.steps, None))
    if options.json:
        found = {kind: [asdict(one) for one in runs] for kind, runs in kinds.items()}
        sys.stdout.write(json.dumps({"limit_bytes": limit, "runs": found}, indent=2) + "\n")
        return
    Console().print(table(kinds, limit))


def write(rollouts: Rollouts, steps: int, max_bytes: int | None) -> Written:
    """Record steps one after another, each written before the next."""
    seconds, sizes = [], []
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder.open(folder, max_bytes=max_bytes)
        for step in range(steps):
            rows = rollouts.at_step(step)
            began = time.perf_counter()
            recorder.record_batch(rows)
            recorder.flush(60)
            seconds.append(time.perf_counter() - began)
            sizes.append(folder_bytes(recorder.folder))
        lost = recorder.close().lost
        parts = part_bytes(recorder.folder)
    return Written(
        step_s=statistics.median(seconds[steps // 2 :]),
        largest_bytes=max(sizes),
        lost=lost,
        token_bytes=parts[0] / len(rollouts.rows),
        message_bytes=parts[1] / len(rollouts.rows),
        other_bytes=parts[2] / len(rollouts.rows),
    )


def part_bytes(folder: Path) -> tuple[int, int, int]:
    """Bytes of token details, messages and everything else in the newest file, which is whole."""
    size = batch_size(folder, batch_names(folder)[-1])
    assert size is not None
    tokens, messages = size.bytes_of(Part.TOKENS), size.bytes_of(Part.MESSAGES)
    return tokens, messages, size.file_bytes - tokens - messages


def table(kinds: dict[str, list[Written]], limit: int) -> Table:
    """For people."""
    heads = ("", "s/step", "largest, MB", "lost", "tokens, B", "messages, B", "rest, B")
    shown = Table(*heads, title=f"Trajectories of {TOKENS:,} tokens; limit {limit / 1e6:.1f} MB")
    for kind, runs in kinds.items():
        one = runs[0]
        shown.add_row(
            kind,
            f"{statistics.median(run.step_s for run in runs):.3f}",
            f"{max(run.largest_bytes for run in runs) / 1e6:.1f}",
            str(sum(run.lost for run in runs)),
            *(f"{size:,.0f}" for size in (one.token_bytes, one.message_bytes, one.other_bytes)),
        )
    return shown


if __name__ == "__main__":
    main(sys.argv[1:])
