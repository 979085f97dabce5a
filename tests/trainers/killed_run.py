"""A training that kills itself in the middle. Usage: killed_run.py DIR STEP."""

import os
import signal
import sys

from transformers import TrainerCallback

from trainings import trainer


class KillAt(TrainerCallback):
    """Waits until what was recorded is on disk, then kills the process in mid-training."""

    def __init__(self, step):
        self.step = step
        self.trainer = None

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            print(self.trainer._record.recorder.flush(20.0), flush=True)
        if state.global_step == self.step + 1:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder, step):
    killer = KillAt(int(step))
    killer.trainer = trainer(folder, max_steps=8, callbacks=[killer])
    killer.trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
