"""Index a run in small commits, saying how far it is; wait after each if asked to."""

import sys
import time
from pathlib import Path

from rlvr.runs.search import SearchRequest, search, update
from rlvr.utils.caches import cache_folder


def main(folder: str, waits: str) -> None:
    update.CHUNK_BYTES = 1

    def told(progress):
        sys.stdout.write(f"rollouts {progress.rollouts}\n")
        sys.stdout.flush()
        time.sleep(0.02 * int(waits))

    found = search(
        Path(folder), SearchRequest(text="apple"), caches=cache_folder(), on_progress=told
    )
    sys.stdout.write(f"found {found.total} {found.notes}\n")


main(*sys.argv[1:])
