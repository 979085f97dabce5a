"""Whether a recorded run is sound: every file, every row, and what the one says of the other."""

from rlvr.checking.check import Scope, check_run
from rlvr.checking.result import Mark, RunCheck, SoundnessReport, Wrong

__all__ = ["Mark", "RunCheck", "Scope", "SoundnessReport", "Wrong", "check_run"]
