"""What a simulated rollout is worth: its components, reward and advantage."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rlvr.analysis.advantage import EPSILON
from rlvr.diagnosis.simulated.episodes import Episode
from rlvr.diagnosis.simulated.settings import Fault, SimulatedRun
from rlvr.record import Component, ScoreStatus, Trajectory

_HELD = 0.5  # what a scorer that always says the same says
_PARTIAL = ("f1", "tests_share", "citation")


def components_of(
    run: SimulatedRun, episode: Episode, *, step: int, held: Fault | None, draw: random.Random
) -> tuple[Component, ...]:
    """The components of one rollout. `held` is the fault that decides all rewards of its group."""
    values = {name: _value(name, run, episode, draw) for name in run.components}
    if draw.random() < run.misjudged:
        values[run.outcome] = 1.0 - values[run.outcome]
    if held is not None:
        values = {name: _held(held, name) for name in values}
    status = ScoreStatus.OK
    if draw.random() < run.timed_out:
        status = ScoreStatus.TIMEOUT
    if run.has(Fault.SCORER_ERRORS, step, draw):
        status = ScoreStatus.ERROR
    if run.has(Fault.SCORER_SILENT, step, draw):
        values[run.outcome] = 0.0
    for fault, value in (
        (Fault.COMPONENT_CONSTANT, 0.0),
        (Fault.COMPONENT_SATURATED, 1.0),
        (Fault.COMPONENTS_CONFLICT, 1.0 - values[run.outcome]),
    ):
        if run.has(fault, step, draw):
            values[_second(run)] = value
    scored = {
        name: Component(name=name, value=values[name], weight=weight)
        for name, weight in run.components.items()
    }
    if status is not ScoreStatus.OK:
        error = "OSError: the scorer has no answer"
        scored[run.outcome] = replace(scored[run.outcome], value=None, status=status, error=error)
    return tuple(scored.values())


def reward_of(components: Sequence[Component]) -> float:
    """The weighted sum; a component without a value counts 0, as in verifiers."""
    return sum((part.value or 0.0) * (part.weight or 0.0) for part in components)


def with_advantages(run: SimulatedRun, group: Sequence[Trajectory]) -> list[Trajectory]:
    """The rollouts of one group with GRPO's advantages, in float32 as a trainer computes them."""
    rewards = np.array([rollout.reward for rollout in group], dtype=np.float32)
    centred = rewards - rewards.mean()
    if run.scale_rewards:
        centred = centred / (np.float32(statistics.stdev(rewards.tolist())) + np.float32(EPSILON))
    return [replace(r, advantage=float(a)) for r, a in zip(group, centred, strict=True)]


def with_shuffled_advantages(
    run: SimulatedRun, batch: list[Trajectory], *, step: int, draw: random.Random
) -> list[Trajectory]:
    """The batch, with the advantages of some rollouts handed on to the next group."""
    moved = [at for at in range(len(batch)) if run.has(Fault.SHUFFLED_ADVANTAGES, step, draw)]
    shuffled = list(batch)
    for at in moved:
        other = batch[(at + run.generations) % len(batch)]
        shuffled[at] = replace(batch[at], advantage=other.advantage)
    return shuffled


def _second(run: SimulatedRun) -> str:
    """The component of the largest weight after the outcome; the outcome where it is alone."""
    others = [name for name in run.components if name != run.outcome]
    return max(others, key=lambda name: run.components[name], default=run.outcome)


def _held(fault: Fault, name: str) -> float:
    if fault is Fault.TOO_HARD:
        return 0.0 if name != "format" else 1.0
    return 1.0 if fault is Fault.TOO_EASY else _HELD


def _value(name: str, run: SimulatedRun, episode: Episode, draw: random.Random) -> float:
    if name == run.outcome:
        return float(episode.succeeded)
    if name in _PARTIAL:
        return 1.0 if episode.succeeded else draw.choice((0.0, 0.0, 0.25, 0.5, 0.8))
    if name == "format":
        return 1.0 if episode.formatted else draw.choice((0.0, 1 / 3, 2 / 3))
    useful = episode.useful_results
    sampled = sum(turn.sampled_tokens or 0 for turn in episode.turns)
    return {
        "retrieval_recall": min(1.0, draw.choice((0.5, 0.5, 1.0)) * useful / 2),
        "retrieval_precision": draw.choice((0.5, 1.0)) if useful else 0.0,
        "brevity": max(0.0, 1.0 - sampled / (4.0 * run.turn_tokens)),
        "num_turns": float(len(episode.turns)),
        "num_tool_calls": float(len(episode.tool_results)),
    }[name]
