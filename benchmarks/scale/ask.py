"""One way asked one question, in a process of its own.

python -m benchmarks.scale.ask --way rlvr --place /scratch/scale/100000/rlvr/... --question page
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.scale.questions import QUESTIONS, Example, Reader

WAYS = {
    "rlvr": "benchmarks.scale.ours:Rlvr",
    "duckdb": "benchmarks.scale.frames:JsonLines",
    "trl": "benchmarks.scale.frames:Completions",
    "inspect": "benchmarks.scale.inspect_reader:InspectLog",
    "trackio": "benchmarks.scale.trackio_reader:Traces",
}
NO_OPENING = ("group", "id", "search", "search_usual")
"""Questions that need no list of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a question took: seconds by the clock and of the processor, all threads.

    open_*: until a list could be shown. first_*: the first answer after that. again_*: the median
    of the next ones, or the first where it was asked once. peak_bytes: the process's memory at its
    highest.
    """

    way: str
    question: str
    open_s: float
    open_cpu_s: float
    first_s: float
    first_cpu_s: float
    again_s: float
    again_cpu_s: float
    peak_bytes: int
    load: float
    answer: Any


def main(arguments: Sequence[str]) -> None:
    """Ask and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--way", choices=list(WAYS), required=True)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--example", type=Path, required=True)
    parser.add_argument("--question", choices=list(QUESTIONS), required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    module, _, name = WAYS[options.way].partition(":")
    reader: Reader = getattr(import_module(module), name)(options.place)
    print(json.dumps(asdict(measured(options, reader, Example.load(options.example)))))


def measured(options: argparse.Namespace, reader: Reader, example: Example) -> Answer:
    """Open, ask once, and ask again."""
    opened = (0.0, 0.0)
    if options.question not in NO_OPENING:
        opened, _ = _timed(reader.open)
    first, answer = opened, None
    later = [opened]
    if options.question != "open":
        first, answer = _timed(lambda: reader.ask(options.question, example))
        later = [
            _timed(lambda: reader.ask(options.question, example))[0] for _ in range(options.rounds)
        ] or [first]
    return Answer(
        way=options.way,
        question=options.question,
        open_s=opened[0],
        open_cpu_s=opened[1],
        first_s=first[0],
        first_cpu_s=first[1],
        again_s=statistics.median(clock for clock, _ in later),
        again_cpu_s=statistics.median(used for _, used in later),
        peak_bytes=_peak(),
        load=os.getloadavg()[0],
        answer=answer,
    )


def _timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    clock, used = time.perf_counter(), time.process_time()
    found = work()
    return (time.perf_counter() - clock, time.process_time() - used), found


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) << 10
    raise SystemExit("/proc/self/status has no VmHWM: this needs Linux.")


if __name__ == "__main__":
    main(sys.argv[1:])
