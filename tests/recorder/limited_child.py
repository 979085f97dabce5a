"""Records token details below a size, for a test that kills it.

Writes a line "ID" to stdout for each trajectory once `flush` said that it is written. Sleeps when
it has recorded enough.

    python limited_child.py OUTPUT_DIR RUN MAX_BYTES
"""

import sys
import time

from builders import token_details, trajectory
from rlvr.recorder import Recorder

ROWS = 4


def main(output_dir: str, run: str, max_bytes: int) -> None:
    """Record batches until killed."""
    recorder = Recorder.open(output_dir, run=run, max_bytes=max_bytes)
    details = token_details(6000)
    for batch in range(40):
        rows = [trajectory(step=batch, batch=batch, sample=n, tokens=details) for n in range(ROWS)]
        stamped = recorder.stamp(rows)
        recorder.record_batch(stamped)
        written = recorder.flush(60) and not recorder.report().dropped
        print("\n".join(row.id for row in stamped if written and row.id), flush=True)
    time.sleep(20)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
