"""Evaluation as a run: rollouts of a fixed model, recorded in the same store as a training's.

`evaluate` and its settings are in `rlvr.evaluation.evaluate`, who answers in
`rlvr.evaluation.samplers`. This package loads nothing by itself, so that a script's help is quick.
"""
