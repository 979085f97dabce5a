"""What an evaluation is asked for, how far it is, and what came of it."""

from dataclasses import dataclass
from typing import Any

from rlvr.analysis.passes import PassRates
from rlvr.recorder import RecorderReport
from rlvr.runs import Run

__all__ = ["Evaluation", "EvaluationSettings", "Progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """What to ask, and how.

    rollouts: of each example. examples: the first so many, None for all. concurrency: rollouts at
    a time. step: optimizer updates in the model's weights. keep_tokens: record the ids and logprobs
    of every token, where the sampler gives them. A temperature of 0 is greedy. seed: of embedded
    sampling.
    """

    rollouts: int = 4
    examples: int | None = None
    concurrency: int = 32
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    step: int = 0
    keep_tokens: bool = True
    seed: int = 0
    name: str | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling parameters of a request."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an evaluation is, in rollouts; `passed` of `scored` were right."""

    done: int
    total: int
    scored: int = 0
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came of an evaluation. `rates` is None where no component says what is right.

    `failed` rollouts ended in an exception. `skipped` examples had been recorded before.
    """

    run: Run
    rates: PassRates | None
    rollouts: int
    failed: int
    skipped: int
    duration_s: float
    report: RecorderReport
