"""Processes that answer one request at a time, each within a deadline; standard library only."""

from rlvr.workers.pool import WorkerPool
from rlvr.workers.process import WorkerEnded, WorkerProcess, WorkerTimeout

__all__ = ["WorkerEnded", "WorkerPool", "WorkerProcess", "WorkerTimeout"]
