"""One of the processes that torchrun starts for a case. Usage:

worker ENVIRONMENT TRAINER SEED FOLDER FAULT...
"""

import sys
from pathlib import Path

import torch.distributed
from benchmarks.diagnosis.real.cases import case_of
from benchmarks.diagnosis.real.injections import Injection
from benchmarks.diagnosis.real.training import train_here


def main(environment: str, trainer: str, seed: str, folder: str, *faults: str) -> None:
    injections = [Injection(fault=fault) for fault in faults]
    train_here(case_of((environment, trainer), int(seed), *injections), Path(folder))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
