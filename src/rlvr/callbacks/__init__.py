"""Callbacks for trainers built on transformers."""

from rlvr.callbacks.diagnosis import DiagnosisCallback

__all__ = ["DiagnosisCallback"]
