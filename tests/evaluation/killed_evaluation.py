"""An evaluation for a test to kill: `python killed_evaluation.py FOLDER [RUN to resume]`.

Each example takes a tenth of a second.
"""

import sys
import time

from evaluations import evaluate, even_right, exam, speaker

from rlvr.evaluation import running


def slowly(prompt):
    time.sleep(0.05)
    return even_right(prompt)


if __name__ == "__main__":
    running.BATCH_ROLLOUTS = 4  # so that something is on the disk soon
    resume = sys.argv[2] if len(sys.argv) > 2 else None
    made = evaluate(sys.argv[1], exam(count=40), speaker(slowly), resume=resume, concurrency=2)
    print(made.skipped, made.rollouts)
