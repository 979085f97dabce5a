"""What `rlvr diagnose` takes for recorded runs: CPU for reading and each detector, and memory.

    python benchmarks/diagnosis/speed.py RUN...

Seconds are of CPU, so that other work on the machine counts little. Memory is the peak of this
process up to there: name the smallest run first. Detectors of less than 0.05 s are summed up.
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

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


def main(places: Sequence[str]) -> None:
    """Print a line for each run."""
    for place in places:
        rollouts, spent = measure(open_run(place))
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in spent.items())
        total = sum(spent.values())
        sys.stdout.write(
            f"{rollouts:,} rollouts: {total:.2f} s of CPU ({parts}), peak {peak_mb:.0f} MB\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
