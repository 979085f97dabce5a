"""What an index answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GROUP_FIELDS = ("step", "size", "mean", "low", "high", "spread")
"""What groups are ordered by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    """Rows of a long list. `after` continues it: the id of the last row, None at the end."""

    rows: tuple[Mapping[str, Any], ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of the rollouts of one `key`; `count` of them have a value that is not NaN."""

    key: Any
    value: float | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """A group and its rewards; those that are absent or NaN count in `size` alone."""

    group_id: str
    step: int
    size: int
    mean: float | None
    low: float | None
    high: float | None

    @property
    def spread(self) -> float | None:
        """The highest minus the lowest reward."""
        return None if self.high is None or self.low is None else self.high - self.low
