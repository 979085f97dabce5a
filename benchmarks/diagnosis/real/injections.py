"""Which rollouts, groups or steps a fault hits: drawn by seed, from a step on."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Clock", "Injection", "Switch"]

Clock = Callable[[], int]
"""Optimizer updates done so far: the step of what is being generated, scored or trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """A fault in the share `strength` of its units, from step `onset` on."""

    fault: str
    strength: float = 1.0
    onset: int = 0

    @property
    def label(self) -> str:
        """As it stands in the name of a run: fault, percent and onset where they are not plain."""
        share = "" if self.strength == 1.0 else f"-{self.strength:.0%}".rstrip("%") + "pct"
        start = f"-from{self.onset}" if self.onset else ""
        return f"{self.fault}{share}{start}"

    @property
    def always(self) -> bool:
        """Whether it holds for everything, from the first step on: as a wrong setting does."""
        return self.strength == 1.0 and self.onset == 0


class Switch:
    """Says of each unit of a run whether an injection hits it.

    The same seed, step and unit give the same answer, in whatever order they are asked about.
    """

    def __init__(self, injection: Injection, *, seed: int, clock: Clock) -> None:
        self.injection = injection
        self._seed = seed
        self._clock = clock
        self._numbers = itertools.count()

    def hits(self, unit: object = "") -> bool:
        """Whether it hits this unit of the step that is under way."""
        return self.hits_at(self._clock(), unit)

    def hits_next(self) -> bool:
        """Whether it hits the next unit, where units have no names of their own."""
        return self.hits(f"number {next(self._numbers)}")

    def hits_at(self, step: int, unit: object = "") -> bool:
        """Whether it hits this unit of that step."""
        if step < self.injection.onset:
            return False
        named = f"{self._seed}:{self.injection.fault}:{step}:{unit}"
        drawn = int.from_bytes(hashlib.blake2b(named.encode(), digest_size=8).digest(), "big")
        return drawn < self.injection.strength * 2**64
