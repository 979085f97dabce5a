"""What TRL's GRPOTrainer takes of an environment, as one value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.environments.settings import Origin

__all__ = ["TrlTask", "reward_function"]

Reward = Callable[..., list[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrlTask:
    """An environment for TRL.

    dataset, eval_dataset: rows with `prompt` and what the environment is reset with.
    environment_factory: makes the environment of a rollout. reward_funcs: one for each component,
    named as it is; rewards of None are left out of the total. reward_weights: of each.
    tool_schemas: how the tools are shown to the model. max_turns: assistant messages of a rollout.
    """

    dataset: Any
    eval_dataset: Any
    environment_factory: Callable[[], Any]
    reward_funcs: Sequence[Reward]
    reward_weights: Sequence[float]
    tool_schemas: Sequence[Mapping[str, Any]]
    max_turns: int
    origin: Origin | None = None

    @property
    def max_tool_calling_iterations(self) -> int:
        """As TRL counts: the rounds of calls, after each of which the model writes once more."""
        return self.max_turns - 1


def reward_function(
    name: str, score: Callable[[object, Mapping[str, Any]], float | None]
) -> Reward:
    """A reward function as TRL calls it, from one that takes a completion and its row's `info`."""

    def reward(
        completions: Sequence[object], info: Sequence[Mapping[str, Any]], **_: Any
    ) -> list[float | None]:
        return [score(one, row) for one, row in zip(completions, info, strict=True)]

    reward.__name__ = reward.__qualname__ = name
    return reward
