"""GRPO's loss from a record alone: nothing of a trainer is imported here."""

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A training sequence in one update: arrays over its tokens but the first, and A."""

    mask: np.ndarray
    old: np.ndarray
    policy: np.ndarray
    reference: np.ndarray | None
    advantage: float


def micro_batches(run):
    """{update: {(rank, micro-batch): its rows}} of all batches with token details."""
    found = defaultdict(lambda: defaultdict(list))
    for trajectory in run.trajectories(mode="train"):
        advantage = advantage_of(run, trajectory)
        for update in run.updates(trajectory):
            for at, sequence in enumerate(trajectory.tokens.sequences):
                reference = update.reference_logprobs and update.reference_logprobs[at]
                row = Row(
                    mask=np.array(sequence.loss_mask[1:]) > 0,
                    old=np.array(sequence.trainer_logprobs[1:]),
                    policy=np.array(update.trainer_logprobs[at][1:]),
                    reference=None if reference is None else np.array(reference[1:]),
                    advantage=advantage,
                )
                found[update.update][update.rank, update.micro_batches[at]].append(row)
    return found


def advantage_of(run, trajectory):
    rewards = [sibling.reward for sibling in run.group(trajectory.group_id)]
    advantage = trajectory.reward - fmean(rewards)
    if run.info.scale_rewards:
        advantage /= np.std(rewards, ddof=1) + 1e-4
    return float(advantage)


def logged(run, batches):
    """What the trainer would log of an update: means over processes and micro-batches."""
    each = [measures(run.info, rows) for rows in batches.values()]
    return {name: fmean(one[name] for one in each) for name in each[0]}


def measures(info, rows):
    settings = info.config
    low = settings["epsilon"]
    high = low if settings["epsilon_high"] is None else settings["epsilon_high"]
    tokens = sum(row.mask.sum() for row in rows)
    losses, clipped, divergence = [], 0, 0.0
    for row in rows:
        ratio = np.exp(row.policy - row.old)[row.mask]
        delta = math.inf if settings["delta"] is None else settings["delta"]
        first = np.minimum(ratio, delta) * row.advantage
        second = np.clip(ratio, 1 - low, 1 + high) * row.advantage
        loss = -np.minimum(first, second)
        if row.reference is not None:
            apart = (row.reference - row.policy)[row.mask]
            kl = np.exp(apart) - apart - 1
            loss = loss + settings["beta"] * kl
            divergence += kl.sum()
        losses.append(loss)
        below = (ratio < 1 - low) & (row.advantage < 0)
        above = (ratio > 1 + high) & (row.advantage > 0)
        clipped += (below | above).sum()
    found = {
        "loss": _mean(info, losses),
        "clip_ratio/region_mean": clipped / tokens,
    }
    return found | ({"kl": divergence / tokens} if settings["beta"] else {})


def _mean(info, losses):
    if info.config["loss_type"] == "grpo":
        return fmean(loss.sum() / max(len(loss), 1) for loss in losses)
    total = sum(loss.sum() for loss in losses)
    if info.config["loss_type"] == "bnpo":
        return total / max(sum(map(len, losses)), 1)
    return total / (len(losses) * info.limits["max_seq_len"])
