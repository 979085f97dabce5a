"""An evaluation whose disk gets full: once something is written, the kernel refuses large files.

python full_disk_evaluation.py FOLDER
"""

import resource
import sys
import time
from pathlib import Path

from evaluations import evaluate, even_right, exam, speaker

from rlvr.errors import RlvrError
from rlvr.evaluation import running

LIMIT_BYTES = 4096
asked = []


def say(prompt):
    asked.append(prompt)
    if len(asked) == 12:
        while not any(Path(sys.argv[1]).rglob("*.parquet")):
            time.sleep(0.05)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    return even_right(prompt)


if __name__ == "__main__":
    running.BATCH_ROLLOUTS = 4
    try:
        evaluate(sys.argv[1], exam(count=4000), speaker(say), concurrency=2)
    except RlvrError as error:
        print(type(error).__name__, error)
    print(len(asked))
