"""Import a file and be killed half-way: what is written by then is all that anybody will have."""

import os
import signal
import sys
import time
from pathlib import Path

from rlvr.interchange import Options, importing, recognise
from rlvr.interchange.importing import import_source

importing._HELD_BYTES = 50_000  # so that a small file is written bit by bit


def on_progress(progress):
    """Die where half of the source is read and something of it is written."""
    if progress.read_bytes * 2 > progress.total_bytes:
        while len(list(Path(sys.argv[2]).rglob("train-*.parquet"))) < 3:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    import_source(recognise(Path(sys.argv[1]), Options()), sys.argv[2], on_progress=on_progress)
