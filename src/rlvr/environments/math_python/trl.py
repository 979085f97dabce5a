"""math-python for TRL's GRPOTrainer: the same problems, tool and rewards as with verifiers."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from rlvr.environments.math_python.core.grader import Grader
from rlvr.environments.math_python.core.grading import Grade
from rlvr.environments.math_python.core.prompts import PYTHON
from rlvr.environments.math_python.core.rewards import (
    OF_GRADE,
    OF_OUTLINE,
    WEIGHTS,
    ScorerFailed,
    missing_answer,
    read_outline,
)
from rlvr.environments.math_python.core.tool import shown_result
from rlvr.environments.math_python.verifiers import load_environment
from rlvr.environments.settings import Rewards
from rlvr.environments.trl_task import TrlTask, reward_function
from rlvr.errors import ConfigurationError
from rlvr.sandbox import Limits, Sandbox

__all__ = ["PythonEnvironment", "load_task"]

_GRADES = 4096  # of one batch, so that each answer is asked about once


def load_task(datasets: str, eval_datasets: str | None = None, **options: Any) -> TrlTask:
    """The task of `rlvr.environments.math_python.verifiers.load_environment`, same options.

    Raises:
        ConfigurationError, SandboxUnavailable, ScorerUnavailable: as that does; and
            ConfigurationError for rewards="original", which is verifiers' own rubric.
    """
    if options.get("rewards", Rewards.REVISED) != Rewards.REVISED:
        raise ConfigurationError(
            "rewards=original is the rubric of the verifiers library: train with verifiers, or take"
            " rewards=revised"
        )
    environment = load_environment(datasets, eval_datasets, **options)
    sandbox, limits, shown = environment.sandbox, environment.limits, environment.tool_characters
    return TrlTask(
        dataset=environment.dataset,
        eval_dataset=environment.eval_dataset,
        environment_factory=lambda: PythonEnvironment(sandbox, limits, characters=shown),
        reward_funcs=_functions(environment.rubric.grader),
        reward_weights=list(WEIGHTS.values()),
        tool_schemas=(PYTHON,),
        max_turns=environment.max_turns,
        origin=environment.origin,
    )


class PythonEnvironment:
    """One rollout's tool. TRL resets it for each rollout and offers its public methods as tools."""

    def __init__(self, sandbox: Sandbox, limits: Limits, *, characters: int) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._characters = characters

    def reset(self, **_: Any) -> None:
        """Nothing is kept between calls, so there is nothing to reset."""

    def python(self, code: str) -> str:
        """Run a Python program and return what it prints.

        Args:
            code: A whole program.
        """
        execution = self._sandbox.run(code)
        return shown_result(execution, self._limits, max_characters=self._characters)


def _functions(grader: Grader) -> list[Callable[..., Any]]:
    @lru_cache(maxsize=_GRADES)
    def asked(gold: str, answer: str) -> Grade:
        return grader.grade(gold, answer)

    def grade(completion: object, info: Mapping[str, Any]) -> Grade:
        answer = read_outline(completion).answer
        return missing_answer() if answer is None else asked(str(info["answer"]), answer)

    def of_grade(score: Callable[[Grade], float]) -> Any:
        def scored(completion: object, info: Mapping[str, Any]) -> float | None:
            try:
                return score(grade(completion, info))
            except ScorerFailed:  # nothing is known, which must not look like a wrong answer
                return None

        return scored

    def of_outline(score: Callable[[Any], float]) -> Any:
        return lambda completion, _: score(read_outline(completion))

    return [
        reward_function(
            name,
            of_grade(OF_GRADE[name]) if name in OF_GRADE else of_outline(OF_OUTLINE[name]),
        )
        for name in WEIGHTS
    ]
