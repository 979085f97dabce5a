"""A training of two processes, started by torchrun. Usage: two_processes.py OUTPUT_DIR REPAIRS.

Prints one JSON line: the number of processes that trained.
"""

import json
import sys

import torch.distributed

from trainings import echo_environment, trainer


def main(folder, repairs):
    training = trainer(
        folder,
        environment=echo_environment(count=16),
        repairs=repairs,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        num_generations=4,
        max_steps=2,
        log_token_details=True,
        scale_rewards=True,
        ddp_backend="gloo",
    )
    training.train()
    if training.accelerator.is_main_process:
        print(json.dumps({"processes": torch.distributed.get_world_size()}), flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
