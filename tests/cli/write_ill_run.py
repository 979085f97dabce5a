"""Writes a run of `steps` steps into a folder, whose prompts attention does not see from step
`onset` on; then waits to be killed. Run with FOLDER STEPS ONSET."""

import sys
import time
from dataclasses import replace
from pathlib import Path

from builders import RUN_ID, batches, run_info
from rlvr.record import Trajectory
from rlvr.recorder import Recorder

PAUSE_S = 0.2


def blind(rollout: Trajectory) -> Trajectory:
    """The rollout with half of its prompt hidden from attention."""
    evidence = replace(rollout.evidence, attended_share=0.5, unattended_prompt_tokens=60)
    return replace(rollout, evidence=evidence)


def write(folder: Path, steps: int, onset: int) -> None:
    with Recorder.open(folder, info=run_info(run=RUN_ID), run=RUN_ID) as recorder:
        for step, batch in enumerate(batches(steps)):
            ill = [blind(rollout) if step >= onset else rollout for rollout in batch]
            recorder.record_batch([replace(rollout, run=RUN_ID) for rollout in ill])
            if step == 0:
                say("recording")
            time.sleep(PAUSE_S)
        say("written")
        time.sleep(600)


def say(line: str) -> None:
    """Tell the test that started this, when what was recorded is on disk."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
