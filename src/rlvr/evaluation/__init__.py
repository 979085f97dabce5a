"""Evaluation as a run: rollouts of a fixed model, recorded in the same store as a training's."""

from rlvr.evaluation.described import EVALUATION
from rlvr.evaluation.evaluate import (
    Evaluation,
    EvaluationSettings,
    Progress,
    evaluate,
)
from rlvr.evaluation.samplers import EmbeddedModel, Endpoint, Sampler

__all__ = [
    "EVALUATION",
    "EmbeddedModel",
    "Endpoint",
    "Evaluation",
    "EvaluationSettings",
    "Progress",
    "Sampler",
    "evaluate",
]
