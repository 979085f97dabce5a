"""Recorded completions, scored anew: in the main thread, and in another as a trainer has it."""

from rlvr.rescoring.rescore import rescore

__all__ = ["rescore"]
