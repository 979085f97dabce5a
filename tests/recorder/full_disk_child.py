"""Records ten batches; from the fourth to the seventh the kernel refuses large files.

A process may bound the files that it writes (RLIMIT_FSIZE) and take the bound back: a disk that is
full for a while, on any machine and without rights. Prints the recorder's report as JSON.

    python full_disk_child.py OUTPUT_DIR
"""

import json
import logging
import resource
import sys
from dataclasses import asdict

from builders import trajectory
from rlvr.record import MetricRow
from rlvr.recorder import Recorder

LIMIT = 4096


def bound_files(size: int) -> None:
    """Let this process write no file of more bytes than that."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def main(output_dir: str) -> None:
    """Record, and say what became of it."""
    logging.basicConfig(level=logging.INFO)
    unbounded, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder = Recorder.open(output_dir, flush_s=0, retry_s=0)
    taken = []
    for batch in range(10):
        bound_files(LIMIT if 3 <= batch < 7 else unbounded)
        rows = [trajectory(step=batch, batch=batch, sample=n) for n in range(4)]
        taken.append(recorder.record_batch(rows))
        values = {"loss": 0.5}
        recorder.metrics(
            MetricRow(step=batch, attempt=0, mode="train", values=values, logged_at=0.0)
        )
        recorder.flush(30)
    print(json.dumps({**asdict(recorder.close()), "taken": taken}))


if __name__ == "__main__":
    main(sys.argv[1])
