"""Making the search index of a run anew, in a process of its own.

python -m benchmarks.scale.index --run /scratch/scale/100000/compacted/rlvr/...
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow.compute as pc
from benchmarks.scale.figures import Indexed

from rlvr.runs import open_run
from rlvr.runs.search import SearchRequest, index_path, search


def main(arguments: Sequence[str]) -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True)
    options = parser.parse_args(arguments)
    caches = options.run.parents[1] / "search"
    clock, used = time.perf_counter(), time.process_time()
    search(options.run, SearchRequest(text="a", limit=0), caches=caches, rebuild=True)
    clock, used = time.perf_counter() - clock, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    indexed = Indexed(
        seconds=clock,
        cpu_s=used,
        text_bytes=text_bytes(options.run),
        index_bytes=index_path(caches, options.run).stat().st_size,
        peak_bytes=peak,
    )
    print(json.dumps(asdict(indexed)))


def text_bytes(path: Path) -> int:
    """Bytes of the messages of a run, by its first step."""
    run = open_run(path)
    step = run.to_arrow(["prompt", "completion"], step=run.steps()[0])
    lengths = (pc.sum(pc.binary_length(step[name])).as_py() for name in step.column_names)
    return int(sum(lengths) / step.num_rows * run.to_arrow(["step"]).num_rows)


if __name__ == "__main__":
    main(sys.argv[1:])
