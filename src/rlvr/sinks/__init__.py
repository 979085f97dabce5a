"""Sampled views of the record in other places: one file per backend, a memory twin for tests."""

from rlvr.record import SinkReport
from rlvr.sinks.memory import MemorySink
from rlvr.sinks.wandb import WandbSink

__all__ = ["MemorySink", "SinkReport", "WandbSink"]
