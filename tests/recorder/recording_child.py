"""Records without end, for a test that kills it.

Writes a line "ID" to stdout for each trajectory once `flush` said that it is written. With "slow"
as third argument every trajectory file takes ten seconds, and the line says what was offered.

    python recording_child.py OUTPUT_DIR RUN [slow]
"""

import sys
import time
from pathlib import Path

from builders import trajectory
from rlvr.recorder import Recorder
from rlvr.store import LocalStore, run_folder


class SlowStore(LocalStore):
    """A local store on a very slow disk."""

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file; a trajectory file only after ten seconds."""
        if name.startswith("trajectories"):
            time.sleep(10)
        super().commit(name, payload)


def main(output_dir: str, run: str, slow: bool) -> None:
    """Record batches of eight until killed."""
    store = SlowStore(run_folder(Path(output_dir), run)) if slow else None
    recorder = Recorder.open(output_dir, run=run, store=store)
    for batch in range(10**6):
        rows = recorder.stamp([trajectory(step=batch, batch=batch, sample=n) for n in range(8)])
        recorder.record_batch(rows)
        if slow:
            time.sleep(0.5)  # the writer notes what was offered before it starts on the file
            print("offered", flush=True)
        elif batch % 2 == 0 and recorder.flush(60):
            print("\n".join(row.id for row in rows), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], len(sys.argv) > 3)
