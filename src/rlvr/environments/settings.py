"""What every environment's options have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from rlvr.environments.rows import SYNTHETIC, parse_specs
from rlvr.errors import ConfigurationError


class Rewards(StrEnum):
    """`revised` is our formula of an environment, `original` the one that its users know."""

    REVISED = "revised"
    ORIGINAL = "original"


_Choice = TypeVar("_Choice", bound=StrEnum)


class PromptStyle(StrEnum):
    """`full` explains the steps to a real model; `brief` spares a tiny one the tokens."""

    FULL = "full"
    BRIEF = "brief"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an environment comes from, for the record of what is done with it.

    loader: a module whose `load_environment(**options)` makes it again, and whose
    `load_rubric(**options)`, where it has one, makes its rubric alone. dataset, eval_dataset: the
    specs of its rows. outcome: the component that says whether an answer is right.
    """

    loader: str
    options: Mapping[str, Any]
    dataset: str | None = None
    eval_dataset: str | None = None
    outcome: str | None = None


def choice(kind: type[_Choice], value: str, *, option: str) -> _Choice:
    """The member of that value.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return kind(value)
    except ValueError as error:
        raise ConfigurationError(
            f"{option} is {value!r}; use {' or '.join(member.value for member in kind)}"
        ) from error


def check_positive(**options: int) -> None:
    """Refuse options below 1.

    Raises:
        ConfigurationError: one is.
    """
    for option, value in options.items():
        if value < 1:
            raise ConfigurationError(f"{option} is {value}; it must be at least 1")


def synthetic_evaluation(datasets: str) -> str | None:
    """The spec of held-out synthetic rows where everything trained on is synthetic.

    Raises:
        ConfigurationError: a spec that can't be read.
    """
    specs = parse_specs(datasets)
    if any(spec.path != SYNTHETIC for spec in specs):
        return None
    return f"{SYNTHETIC},{specs[0].name},validation[:64]"
