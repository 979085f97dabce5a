"""What was taken out of a record after it was written, to save disk space."""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """A part of a trajectory file that can go. Scalars never do."""

    TOKENS = "tokens"
    MESSAGES = "messages"

    @property
    def label(self) -> str:
        """How people call it."""
        return "token details" if self is Part.TOKENS else "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """One part that a trajectory file no longer has.

    at: Unix time. limit_bytes: the size limit of the run that it made room for, None where a person
    asked for it (`rlvr prune`).
    """

    part: Part
    at: float
    limit_bytes: int | None = None
