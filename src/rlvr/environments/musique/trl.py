"""MuSiQue for TRL's GRPOTrainer: the same questions, tool and rewards as with verifiers."""

from collections.abc import Mapping
from typing import Any

from rlvr.environments.musique.core.completions import shown_documents
from rlvr.environments.musique.core.examples import MusiqueExample, parse_example
from rlvr.environments.musique.core.prompts import RETRIEVE
from rlvr.environments.musique.core.retrieval import Retriever, search
from rlvr.environments.musique.core.rewards import (
    REVISED_WEIGHTS,
    Outcome,
    Scorer,
    read_outcome,
    reward_original,
    scorers,
)
from rlvr.environments.musique.verifiers import load_environment
from rlvr.environments.settings import Rewards, choice
from rlvr.environments.trl_task import TrlTask, reward_function

__all__ = ["RetrieveEnvironment", "load_task"]


def load_task(datasets: str, eval_datasets: str | None = None, **options: Any) -> TrlTask:
    """The task of `rlvr.environments.musique.verifiers.load_environment` with the same options.

    Raises:
        ConfigurationError, MissingDependency: as that does.
    """
    environment = load_environment(datasets, eval_datasets, **options)
    retriever, top_k = environment.retriever, environment.top_k
    rewards = choice(Rewards, options.get("rewards", Rewards.REVISED), option="rewards")
    functions = _functions(rewards)
    return TrlTask(
        dataset=environment.dataset,
        eval_dataset=environment.eval_dataset,
        environment_factory=lambda: RetrieveEnvironment(retriever, top_k),
        reward_funcs=[reward_function(name, _of_row(score)) for name, score in functions.items()],
        reward_weights=_weights(rewards, functions),
        tool_schemas=(RETRIEVE,),
        max_turns=environment.max_turns,
        origin=environment.origin,
    )


class RetrieveEnvironment:
    """One rollout's tool. TRL resets it for each rollout and offers its public methods as tools."""

    def __init__(self, retriever: Retriever, top_k: int) -> None:
        self._retriever = retriever
        self._top_k = top_k
        self._example: MusiqueExample | None = None
        self._results: list[dict[str, str]] = []

    def reset(self, *, info: Mapping[str, Any], **_: Any) -> None:
        """Start a rollout over the paragraphs of a row."""
        self._example = parse_example(info)
        self._results = []

    def retrieve(self, query: str) -> str:
        """Find a document.

        Args:
            query: A few words.
        """
        assert self._example is not None  # TRL resets before it calls
        found = search(
            self._retriever,
            query,
            self._example,
            shown=shown_documents(self._results),
            top_k=self._top_k,
        )
        self._results.append({"role": "tool", "content": found})
        return found


def _functions(rewards: Rewards) -> dict[str, Scorer]:
    """The scorers, in the order in which verifiers' rubric has them."""
    if rewards is Rewards.REVISED:
        return scorers(rewards)
    return {"reward_original": reward_original, **scorers(rewards)}


def _weights(rewards: Rewards, functions: Mapping[str, Scorer]) -> list[float]:
    if rewards is Rewards.REVISED:
        return [REVISED_WEIGHTS[name] for name in functions]
    return [float(name == "reward_original") for name in functions]


def _of_row(score: Scorer) -> Any:
    def of_row(completion: object, info: Mapping[str, Any]) -> float:
        outcome: Outcome = read_outcome(completion, parse_example(info))
        return score(outcome)

    return of_row
