"""Two-hop questions as a task of the warm start."""

import random
from collections.abc import Iterator
from typing import Any

from rlvr.demo.measure import Measured, Sampling, play
from rlvr.demo.musique.demonstrations import CLEAN, Quality, demonstrate
from rlvr.demo.musique.vocabulary import texts
from rlvr.demo.settings import DemoSettings
from rlvr.demo.task import Demonstrations, Dialogue, Task, WarmStartSettings
from rlvr.environments.musique.core.prompts import RETRIEVE
from rlvr.environments.musique.core.retrieval import make_retriever
from rlvr.environments.musique.core.synthetic import rows

__all__ = ["MUSIQUE", "measure"]

_QUALITY = Quality(first=0.6, sound=0.9, hop=0.7, relation=0.8, answer=0.85, cite=0.6, think=0.85)


def measure(
    model: Any,
    tokenizer: Any,
    *,
    settings: DemoSettings | None = None,
    datasets: str = "synthetic,seed-0,validation[:512]",
    temperature: float | None = None,
) -> Measured:
    """Play one episode of each question of `datasets` at the settings' temperature.

    `temperature` overrides it; 0 is greedy. Sampling draws on torch's global random state.
    """
    from rlvr.environments.musique.verifiers import load_environment

    settings = settings or DemoSettings()
    environment = load_environment(
        datasets,
        prompt_style=settings.prompt_style,
        rewards=settings.rewards,
        max_turns=settings.max_turns,
        top_k=settings.top_k,
    )
    sampling = Sampling(
        temperature=settings.temperature if temperature is None else temperature,
        max_tokens=settings.max_tokens,
        max_model_len=settings.max_model_len,
    )
    return play(environment, model, tokenizer, sampling)


def _demonstrations(wanted: Demonstrations) -> Iterator[Dialogue]:
    chance, retriever = random.Random(wanted.seed), make_retriever("lexical")
    count = wanted.clean + wanted.mixed
    for number, row in enumerate(rows(seed=wanted.seed, count=count, split="warm")):
        quality = CLEAN if number < wanted.clean else _QUALITY
        yield demonstrate(row, retriever=retriever, quality=quality, chance=chance)


def _cause(measured: Measured) -> str:
    found, tags = (measured.components[name] for name in ("retrieval_recall", "format"))
    if tags < 0.5:
        return (
            f"the format is not learnt ({tags:.0%} of the tags are valid); "
            "give phase one more steps"
        )
    if found < 0.5:
        return (
            f"retrieval is not learnt (recall {found:.0%}); give phase one "
            "more steps, or let more of the mixed demonstrations ask the right questions"
        )
    return (
        f"copying the answer is not learnt (recall {found:.0%}, yet wrong "
        "answers); lower phase one's clean_loss or give it more steps"
    )


MUSIQUE = Task(
    name="musique",
    tool=RETRIEVE,
    layers=2,
    settings=WarmStartSettings(),
    quality=_QUALITY,
    texts=texts,
    demonstrate=_demonstrations,
    measure=measure,
    cause=_cause,
)
