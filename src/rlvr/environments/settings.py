"""What every environment's options have in common."""

from enum import StrEnum
from typing import TypeVar

from rlvr.environments.rows import SYNTHETIC, parse_specs
from rlvr.errors import ConfigurationError

_Choice = TypeVar("_Choice", bound=StrEnum)


class PromptStyle(StrEnum):
    """`full` explains the steps to a real model; `brief` spares a tiny one the tokens."""

    FULL = "full"
    BRIEF = "brief"


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
