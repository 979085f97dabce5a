"""A training of two processes with token details, started by torchrun.

Usage: two_processes_tokens.py OUTPUT_DIR. The histories of some rollouts restart.
"""

import sys

import torch.distributed

from forgetting import forgetting


def main(folder):
    training = forgetting(
        folder,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        num_iterations=2,
        max_steps=2,
        beta=0.1,
        epsilon=0.001,
        learning_rate=1e-4,
        loss_type="bnpo",
        ddp_backend="gloo",
    )
    training.train()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
