"""Healthy runs of every kind, drawn by a seed, and the same with a fault."""

import random
from dataclasses import replace

from rlvr.diagnosis.simulated.settings import (
    CHANGES,
    Fault,
    SimulatedFault,
    SimulatedRun,
    Task,
)

_COMPONENTS = {
    Task.MATH: (
        {"correct": 1.0},
        {"correct": 1.0, "format": 0.2},
        {"correct": 1.0, "format": 0.2, "num_turns": 0.0},
        {"correct": 0.8, "format": 0.1, "brevity": 0.1},
    ),
    Task.TWO_HOP: (
        {"exact_match": 1.0},
        {"exact_match": 0.7, "f1": 0.2, "format": 0.1},
        {"exact_match": 0.5, "f1": 0.2, "retrieval_recall": 0.2, "format": 0.1},
        {
            "exact_match": 0.74,
            "f1": 0.06,
            "retrieval_recall": 0.08,
            "retrieval_precision": 0.02,
            "citation": 0.05,
            "format": 0.05,
        },
    ),
    Task.CODE: (
        {"tests_pass": 1.0},
        {"tests_pass": 1.0, "format": 0.1, "num_tool_calls": 0.0},
        {"tests_pass": 0.7, "tests_share": 0.3},
    ),
}


def healthy_run(seed: int) -> SimulatedRun:
    """A run that learns, or holds a good level, with settings that people train with.

    Easy and hard tasks, quick and slow learners, 20 to 80 steps, batches of 16 to 128 rollouts,
    one to six components, float32 and bfloat16, sampling in step or up to two batches ahead,
    advantages scaled or not, one process or several; some with what every long run has of errors,
    time-outs and wrong judgements.
    """
    draw = random.Random(seed)
    task = draw.choice(tuple(Task))
    generations = draw.choice((4, 8, 8, 16))
    start = draw.uniform(0.08, 0.6)
    ahead = draw.choice((0, 0, 1, 2))
    bf16 = draw.random() < 0.6
    gap = draw.uniform(0.01, 0.03) if bf16 else draw.uniform(3e-7, 3e-6)
    long = draw.random() < 0.4
    return SimulatedRun(
        seed=seed,
        task=task,
        steps=draw.randint(20, 80),
        prompts=draw.choice((4, 8, 8, 16) if generations < 16 else (4, 8)),
        generations=generations,
        examples=draw.choice((64, 400, 7_500, 20_000)),
        success=(start, max(start, draw.uniform(0.3, 0.93))),
        difficulty=draw.uniform(0.5, 2.5),
        haste=draw.uniform(0.5, 2.0),
        components=draw.choice(_COMPONENTS[task]),
        malformed=(draw.uniform(0.0, 0.15), draw.uniform(0.0, 0.04)),
        cut=(draw.uniform(0.0, 0.4 if long else 0.15), draw.uniform(0.0, 0.15 if long else 0.05)),
        formatted=(draw.uniform(0.3, 0.95), draw.uniform(0.9, 1.0)),
        verbose=draw.uniform(0.0, 0.2),
        over_limit=draw.uniform(0.0, 0.05),
        tool_errors=draw.uniform(0.2, 0.45) if task is Task.CODE else draw.uniform(0.0, 0.12),
        idle=0.0 if task is Task.TWO_HOP else draw.uniform(0.0, 0.5),
        failed=draw.choice((0.0, 0.0, 0.005, 0.01)),
        timed_out=draw.choice((0.0, 0.0, 0.002, 0.01)),
        misjudged=draw.choice((0.0, 0.0, 0.01, 0.02)),
        truncated=draw.choice((0.0, 0.0, 0.01, 0.03)),
        retokenised=draw.choice((0.0, 0.02, 0.1)),
        max_turns=1 if task is Task.MATH else draw.randint(4, 10),
        max_tokens=2048 if long else 512,
        max_seq_len=8192 if long else 4096,
        prompt_tokens=draw.randint(60, 600),
        turn_tokens=draw.randint(150, 600) if long else draw.randint(30, 150),
        gap=gap,
        gap_per_update=gap * draw.uniform(0.0, 0.3) if ahead else 0.0,
        entropy=(draw.uniform(0.3, 1.2), draw.uniform(0.1, 0.5)),
        batches_ahead=ahead,
        iterations=draw.choice((1, 1, 1, 2)),
        world_size=draw.choice((1, 1, 2, 4)),
        scale_rewards=draw.random() < 0.5,
    )


def faulty_run(
    kind: Fault, *, seed: int = 0, strength: float = 1.0, onset: int = 0, steps: int = 30
) -> SimulatedRun:
    """A two-hop run with one fault, with settings under which that fault can show.

    Without the fault it is a healthy run, of 64 rollouts a step. A change begins with the second
    half of the run where no other `onset` is given.
    """
    if kind in CHANGES:
        onset = onset or steps // 2
    run = SimulatedRun(seed=seed, steps=steps)
    if kind is Fault.COMPONENTS_CONFLICT:
        run = replace(run, components={"exact_match": 0.5, "brevity": 0.5})
    if kind is Fault.REWARD_HACKING:
        run = replace(run, components={"exact_match": 0.3, "format": 1.0}, formatted=(0.2, 0.4))
    if kind is Fault.CALLS_OUTWEIGH:
        components = {"exact_match": 0.5, "num_tool_calls": 0.5}
        run = replace(run, components=components, max_turns=8)
    if kind is Fault.NOISE_DECIDES:
        run = replace(run, components={"exact_match": 1.0, "brevity": 0.01})
    if kind is Fault.DUPLICATE_PROMPTS:
        run = replace(run, world_size=2)
    return run.with_faults(SimulatedFault(kind=kind, strength=strength, onset=onset))
