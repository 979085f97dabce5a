"""How well a policy does in the demo's environment, sampled as training samples it."""

import asyncio
import statistics
from dataclasses import dataclass
from typing import Any

from rlvr.demo.settings import DemoSettings
from rlvr.errors import ConfigurationError

__all__ = ["Measured", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Means over `rollouts` rollouts, one of each question; each value is in [0, 1]."""

    rollouts: int
    exact_match: float
    f1: float
    retrieval_recall: float
    retrieval_precision: float
    citation: float
    format: float
    reward: float


def measure(
    model: Any,
    tokenizer: Any,
    *,
    settings: DemoSettings,
    datasets: str = "synthetic,seed-0,validation[:512]",
    temperature: float | None = None,
) -> Measured:
    """Play one episode of each question of `datasets` at the settings' temperature.

    `temperature` overrides it; 0 is greedy. Sampling draws on torch's global random state.
    """
    from rlvr.environments.musique.verifiers import load_environment
    from rlvr.inference.embedded import EmbeddedEngine

    environment = load_environment(
        datasets,
        prompt_style=settings.prompt_style,
        rewards=settings.rewards,
        max_turns=settings.max_turns,
        top_k=settings.top_k,
    )
    engine = EmbeddedEngine(
        model=model, tokenizer=tokenizer, max_model_len=settings.max_model_len, max_batch=256
    )
    for name, weights in model.named_parameters():
        engine.update_named_param(name, weights)
    sampling = {
        "temperature": settings.temperature if temperature is None else temperature,
        "max_tokens": settings.max_tokens,
    }
    questions = environment.dataset
    outputs = asyncio.run(environment.a_generate(questions, engine.client(), "demo", sampling))
    return _summary(outputs)


def _summary(outputs: Any) -> Measured:
    if not outputs.reward:
        raise ConfigurationError("nothing to measure: the dataset spec holds no question")
    means = {name: statistics.fmean(values) for name, values in outputs.metrics.items()}
    return Measured(rollouts=len(outputs.reward), reward=statistics.fmean(outputs.reward), **means)
