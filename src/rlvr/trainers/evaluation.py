"""The metrics of an evaluation inside a training."""

from collections.abc import Sequence
from statistics import fmean, stdev

from rlvr.capture.rollout import BatchCapture


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
