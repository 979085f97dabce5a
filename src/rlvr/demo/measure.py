"""How well a policy does in an environment, sampled as training samples it."""

import asyncio
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.errors import ConfigurationError

__all__ = ["Measured", "Sampling", "play"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a rollout is sampled: `max_tokens` bounds a turn, `max_model_len` a whole dialogue."""

    temperature: float
    max_tokens: int
    max_model_len: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Means over `rollouts` rollouts, one of each problem.

    `components` are those of the reward; that of the name `outcome` says whether an answer is
    right.
    """

    rollouts: int
    outcome: str
    reward: float
    components: Mapping[str, float]

    @property
    def success(self) -> float:
        """The share of right answers."""
        return self.components[self.outcome]


def play(environment: Any, model: Any, tokenizer: Any, sampling: Sampling) -> Measured:
    """One episode of each of the environment's problems. Draws on torch's global random state.

    Raises ConfigurationError where there is no problem.
    """
    from rlvr.inference.embedded import EmbeddedEngine

    engine = EmbeddedEngine(
        model=model, tokenizer=tokenizer, max_model_len=sampling.max_model_len, max_batch=256
    )
    for name, weights in model.named_parameters():
        engine.update_named_param(name, weights)
    options = {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens}
    outputs = asyncio.run(
        environment.a_generate(environment.dataset, engine.client(), "demo", options)
    )
    if not outputs.reward:
        raise ConfigurationError("nothing to measure: the dataset spec holds no problem")
    return Measured(
        rollouts=len(outputs.reward),
        outcome=environment.origin.outcome,
        reward=statistics.fmean(outputs.reward),
        components={name: statistics.fmean(values) for name, values in outputs.metrics.items()},
    )
