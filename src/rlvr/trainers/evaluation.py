"""An evaluation with a trainer's current weights, and its metrics."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from rlvr.capture.rollout import BatchCapture


def broadcast_metrics(trainer: Any, prefix: str) -> dict[str, float]:
    """Roll the evaluation set out on the main process; every process gets the metrics."""
    from accelerate.utils import broadcast_object_list

    held: list[Any] = [None]
    if trainer.accelerator.is_main_process:
        generator = trainer.async_generator
        generator.evaluate()
        held = [evaluation_metrics(generator.evaluation_env.rlvr_state.batch, prefix)]
    if trainer.accelerator.num_processes > 1:
        broadcast_object_list(held, from_process=0)
    metrics: dict[str, float] = held[0]
    return metrics


def log_as_evaluation(trainer: Any, metrics: dict[str, float]) -> None:
    """Log metrics in evaluation mode: the library's `log` tells the two apart by the model's."""
    was_training = trainer.model.training
    trainer.model.eval()
    try:
        trainer.log(metrics)
    finally:
        trainer.model.train(was_training)


def evaluation_metrics(capture: BatchCapture, prefix: str) -> dict[str, float]:
    """Mean and spread of the reward, the mean of each component, and sampled tokens."""
    rewards = [rollout.reward for rollout in capture.rollouts if rollout.reward is not None]
    metrics = {
        f"{prefix}_reward": _mean(rewards),
        f"{prefix}_reward_std": stdev(rewards) if len(rewards) > 1 else 0.0,
    }
    for name in capture.component_names:
        values = [rollout.values[name] for rollout in capture.rollouts if name in rollout.values]
        metrics[f"{prefix}_rewards/{name}"] = _mean(values)
    lengths = [
        float(sum(len(turn.sampled_ids) for turn in rollout.sampled))
        for rollout in capture.rollouts
    ]
    metrics[f"{prefix}_completions/mean_length"] = _mean(lengths)
    metrics[f"{prefix}_completions/min_length"] = min(lengths, default=float("nan"))
    metrics[f"{prefix}_completions/max_length"] = max(lengths, default=float("nan"))
    return metrics


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else float("nan")
