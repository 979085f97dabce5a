"""Trainings that sample from the server, and what their records say of each step."""

import rlvr
import trainings

STEPS = 4
RATE = 3e-3  # changes the weights visibly from step to step


def trainer(folder, server, policy, **options):
    """A trainer of the demo's policy that samples from the server; weights through files."""
    chosen = {
        "policy": policy,
        "environment": trainings.questions(),
        "inference": "vllm",
        "weight_sync": "files",
        "vllm_server_host": "127.0.0.1",
        "vllm_server_port": server.port,
        "max_steps": STEPS,
        "learning_rate": RATE,
    }
    return trainings.trainer(folder, **(chosen | options))


def train(folder, server, policy, **options):
    """Train, and read the rollouts."""
    trainer(folder, server, policy, **options).train()
    return trainings.record_of(folder)


def steps(rollouts):
    """Rollouts by step."""
    found = {}
    for rollout in rollouts:
        found.setdefault(rollout.step, []).append(rollout)
    return dict(sorted(found.items()))


def gaps(rollouts):
    """The largest mean gap of a rollout, in nats, at each step."""
    return [max(r.evidence.gap_mean for r in found) for found in steps(rollouts).values()]


def findings(folder):
    """Codes of what the diagnosis finds."""
    return {finding.code for finding in rlvr.diagnose(folder).findings}
