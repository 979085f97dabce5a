"""A training with TRL of two processes, started by torchrun.

Usage: trl_processes.py OUTPUT_DIR SETTINGS, a JSON object. Prints one JSON line: the number of
processes that trained.
"""

import json
import sys

import torch.distributed
from trl_trainings import Retrieve, musique, trainer


def main(folder, settings):
    evaluates = settings.pop("evaluates")
    training = trainer(
        folder,
        environment_factory=Retrieve,
        eval_dataset=musique(4, seed=99) if evaluates else None,
        log_token_details=True,
        ddp_backend="gloo",
        max_steps=2,
        **settings,
    )
    training.train()
    if evaluates:
        training.evaluate()
    if training.accelerator.is_main_process:
        print(json.dumps({"processes": torch.distributed.get_world_size()}), flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
