"""The bounded queue between a training run and its store, and the fence around both."""

from rlvr.record import Sink, SinkReport
from rlvr.recorder.fence import Fence
from rlvr.recorder.recorder import Recorder
from rlvr.recorder.report import MirrorReport, RecorderReport

__all__ = ["Fence", "MirrorReport", "Recorder", "RecorderReport", "Sink", "SinkReport"]
