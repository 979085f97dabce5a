"""The end of a process that trained beside others."""

import os
import sys

import torch.distributed


def end():
    """Leave the group, and the process with it.

    A thread of gloo that lets go of a tensor while Python ends aborts the process, now and then
    (https://github.com/pytorch/pytorch/issues/190489). All that is tested is on disk by now.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
