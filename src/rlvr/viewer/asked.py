"""What a request asks for, read from its URL."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rlvr.errors import ConfigurationError
from rlvr.record import Mode
from rlvr.utils.spans import span_of

LONGEST = 4_000
"""Characters of one parameter; a query of more is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Parts of the path and parameters of a URL, as texts; each question says what it needs."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def part(self, name: str) -> str:
        """A part of the path."""
        return self.path[name]

    def text(self, name: str) -> str | None:
        """A parameter; None where it is absent or empty.

        Raises:
            ConfigurationError: it is longer than a person writes.
        """
        value = self.query.get(name, "").strip()
        if len(value) > LONGEST:
            raise ConfigurationError(f"{name} has {len(value):,} characters; write {LONGEST:,}.")
        return value or None

    def name(self, name: str) -> str | None:
        """A parameter that names something, blanks at its ends and all; None where it is absent."""
        return self.query.get(name)

    def number(self, name: str, default: int, *, low: int = 0, high: int = 1 << 31) -> int:
        """A whole number among the parameters.

        Raises:
            ConfigurationError: it is none, or not between the bounds.
        """
        value = self.text(name)
        if value is None:
            return default
        if not value.lstrip("-").isdecimal() or not low <= int(value) <= high:
            raise ConfigurationError(f"{name} is {value!r}; write a number from {low} to {high}.")
        return int(value)

    def decimal(self, name: str) -> float | None:
        """A finite number among the parameters; None where it is absent.

        Raises:
            ConfigurationError: it is none.
        """
        value = self.text(name)
        if value is None:
            return None
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise ConfigurationError(f"{name} is {value!r}; write a number such as 0.5.")
        return found

    def steps(self, name: str) -> int | range | None:
        """A step, or a span of steps as 10:20, 10: or :20; None where it is absent.

        Raises:
            ConfigurationError: it is neither.
        """
        value = self.text(name)
        if value is None:
            return None
        if value.isdecimal() and len(value) < 19:
            return int(value)
        span = span_of(value)
        if span is None:
            raise ConfigurationError(f"{name} is {value!r}; write 10, 10:20, 10: or :20.")
        return span

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of some words.

        Raises:
            ConfigurationError: it is another.
        """
        value = self.text(name) or default
        if value not in choices:
            raise ConfigurationError(f"{name} is {value!r}; write {', '.join(choices)}.")
        return value

    def flag(self, name: str) -> bool:
        """Whether a parameter is there and not "0"."""
        return self.text(name) not in (None, "0")

    def mode(self, name: str = "split") -> Mode | None:
        """Training or evaluation; None where it is not asked.

        Raises:
            ConfigurationError: it is neither.
        """
        value = self.text(name)
        return None if value is None else Mode(self.choice(name, ("train", "eval"), "train"))
