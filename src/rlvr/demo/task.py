"""What the warm start asks of a task, and the tasks there are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.demo.measure import Measured
from rlvr.errors import ConfigurationError

__all__ = ["TASK_NAMES", "Demonstrations", "Dialogue", "Task", "WarmStartSettings", "task_named"]

TASK_NAMES = ("musique", "math_python")

Dialogue = list[dict[str, Any]]
"""Messages, from the system's to the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartSettings:
    """How many demonstrations are made, and how they are learnt.

    Phase one stops as soon as the running mean of its loss (nats a token) is below `clean_loss`,
    at the latest after `clean_steps`. Phase two takes `mixed_steps`. `batch` is in dialogues.
    """

    clean_dialogues: int = 4000
    clean_steps: int = 600
    clean_loss: float = 0.003
    clean_rate: float = 4e-3
    mixed_dialogues: int = 4000
    mixed_steps: int = 500
    mixed_rate: float = 3e-3
    warm_up_steps: int = 50
    batch: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstrations:
    """How many dialogues of either phase, and the seed of their problems and mistakes."""

    seed: int
    clean: int
    mixed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of which a policy can be warm-started.

    tool: the schema of its one tool. texts: all that its tokenizer must know. demonstrate: first
    the clean dialogues, then those with mistakes, each about a problem that no run sees. quality:
    how often the latter get each thing right, as a dataclass. measure: plays the task with a
    policy, as training samples it. cause: what such a policy has not learnt, and the remedy.
    """

    name: str
    tool: Mapping[str, Any]
    layers: int
    settings: WarmStartSettings
    quality: Any
    texts: Callable[[], Iterator[str]]
    demonstrate: Callable[[Demonstrations], Iterator[Dialogue]]
    measure: Callable[[Any, Any], Measured]
    cause: Callable[[Measured], str]


def task_named(name: str) -> Task:
    """The task of that name. Raises ConfigurationError where there is none."""
    if name == "musique":
        from rlvr.demo.musique.task import MUSIQUE

        return MUSIQUE
    if name == "math_python":
        from rlvr.demo.math_python.task import MATH_PYTHON

        return MATH_PYTHON
    raise ConfigurationError(f"the demo has no task {name!r}; use one of {', '.join(TASK_NAMES)}")
