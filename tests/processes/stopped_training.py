"""A training whose rollouts are known beforehand, stopped on the way. Usage: FOLDER SETTINGS.

SETTINGS is a JSON object: settings of the training's configuration, and
    kill_at: every process kills itself when this step begins
    kill_in_save: the main process kills itself when it has half of this step's checkpoint
    hold: from the second batch on, scoring waits while FOLDER/hold exists, which FOLDER/held says
    resume: the checkpoint to go on from, or true for the last whole one
    rows: rollouts of a batch over all processes
Each process writes FOLDER/weights-rRANK.json at the end.
"""

import collections
import json
import os
import signal
import sys
import time
from pathlib import Path

from ending import end
from transformers import TrainerCallback
from watched_training import digest

from rlvr.inference.spoken import SpokenEngine
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
from trainings import GROUP, config, echo_environment, length, tiny_policy

OWN = ("kill_at", "kill_in_save", "hold", "resume", "rows")


class KillAt(TrainerCallback):
    def __init__(self, trainer, step):
        self.trainer = trainer
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            self.trainer._record.recorder.flush(20)
            self.trainer.accelerator.wait_for_everyone()
            os.kill(os.getpid(), signal.SIGKILL)


class DiesInSave(EnhancedGRPOTrainer):
    """Gets as far as the optimizer's state when it saves the checkpoint of one step."""

    kill_in_save = None

    def _save_optimizer_and_scheduler(self, output_dir):
        if self.state.global_step == self.kill_in_save:
            self._record.recorder.flush(20)
            self.accelerator.wait_for_everyone()
            os.kill(os.getpid(), signal.SIGKILL)
        super()._save_optimizer_and_scheduler(output_dir)


def four_lengths():
    """Each prompt is answered by one to four words, in turn: groups that vary, and always alike."""
    asked = collections.Counter()

    def say(prompt):
        asked[prompt] += 1
        return "1 " * (1 + asked[prompt] % GROUP)

    return say


def waiting_length(folder, rows):
    scored = collections.Counter()

    def held_length(completion):
        scored["rows"] += 1
        if scored["rows"] > rows:
            (folder / "held").touch()
            while (folder / "hold").exists():
                time.sleep(0.05)
        return length(completion)

    return held_length


def stopped_trainer(folder, settings):
    own = {name: settings.pop(name) for name in OWN if name in settings}
    rows = own.get("rows", 16)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    args = config(folder, per_device_train_batch_size=rows // processes, **(chosen | settings))
    model, tokenizer = tiny_policy()
    reward = waiting_length(folder, rows) if own.get("hold") else length
    engine = SpokenEngine(model, tokenizer, max_model_len=512, say=four_lengths())
    trainer = DiesInSave(
        model, echo_environment(reward, count=32), args, tokenizer, inference=engine
    )
    trainer.kill_in_save = own.get("kill_in_save")
    if "kill_at" in own:
        trainer.add_callback(KillAt(trainer, own["kill_at"]))
    return trainer, own.get("resume")


def main(folder, settings):
    trainer, resume = stopped_trainer(Path(folder), settings)
    trainer.train(resume_from_checkpoint=resume)
    rank = trainer.accelerator.process_index
    (Path(folder) / f"weights-r{rank}.json").write_text(json.dumps(digest(trainer)))
    end()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
