"""Sums and brackets, to be computed with python, as a task of the warm start."""

import random
from collections.abc import Iterator
from typing import Any

from rlvr.demo.math_python.demonstrations import (
    CLEAN,
    MOST_CALLS,
    Quality,
    demonstrate,
    problems,
)
from rlvr.demo.math_python.vocabulary import texts
from rlvr.demo.measure import Measured, Sampling, play
from rlvr.demo.task import Demonstrations, Dialogue, Task, WarmStartSettings
from rlvr.environments.math_python.core.prompts import PYTHON

__all__ = ["MATH_PYTHON", "SAMPLING", "environment", "measure"]

_VALIDATION = ";".join(f"synthetic,seed-{seed},validation" for seed in range(3))
"""4,500 problems, of which some 450 are of level 1."""
SAMPLING = Sampling(temperature=1.0, max_tokens=64, max_model_len=384)
_QUALITY = Quality(
    tool=0.45,
    sound=0.95,
    prints=0.9,
    closed=0.9,
    operator=0.95,
    again=0.6,
    sign=0.95,
    box=0.95,
    think=0.85,
)


def environment(datasets: str) -> Any:
    """The environment that the policy has learnt to play: the problems of level 1 in `datasets`."""
    from rlvr.environments.math_python.verifiers import load_environment

    turns = MOST_CALLS + 1
    return load_environment(datasets, prompt_style="brief", max_level=1, max_turns=turns)


def measure(
    model: Any,
    tokenizer: Any,
    *,
    datasets: str = _VALIDATION,
    temperature: float = SAMPLING.temperature,
) -> Measured:
    """Play one episode of each problem of level 1 in `datasets`; a temperature of 0 is greedy.

    Sampling draws on torch's global random state.
    """
    played = environment(datasets)
    sampling = Sampling(
        temperature=temperature,
        max_tokens=SAMPLING.max_tokens,
        max_model_len=SAMPLING.max_model_len,
    )
    try:
        return play(played, model, tokenizer, sampling)
    finally:
        played.close()


def _demonstrations(wanted: Demonstrations) -> Iterator[Dialogue]:
    chance = random.Random(wanted.seed)
    count = wanted.clean + wanted.mixed
    for number, problem in enumerate(problems(seed=wanted.seed, count=count)):
        quality = CLEAN if number < wanted.clean else _QUALITY
        yield demonstrate(problem, quality=quality, chance=chance)


def _cause(measured: Measured) -> str:
    boxes, tool = (measured.components[name] for name in ("format", "tool_use"))
    if boxes < 0.5:
        return (
            f"the format is not learnt ({boxes:.0%} of the answers are in a box); "
            "give phase one more steps"
        )
    if tool < 0.25:
        return (
            f"the tool is not learnt ({tool:.0%} get a result from it); give phase one more "
            "steps, or let more of the mixed demonstrations use it"
        )
    return (
        f"copying numbers is not learnt ({tool:.0%} get a result, yet wrong answers); "
        "lower phase one's clean_loss or give it more steps"
    )


MATH_PYTHON = Task(
    name="math_python",
    tool=PYTHON,
    layers=3,  # with two, phase one ends at twice the loss
    settings=WarmStartSettings(clean_dialogues=6000, clean_steps=1000, mixed_dialogues=8000),
    quality=_QUALITY,
    texts=texts,
    demonstrate=_demonstrations,
    measure=measure,
    cause=_cause,
)
