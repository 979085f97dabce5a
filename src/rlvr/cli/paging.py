"""A long list, a page at a time."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which entries of how many are shown: at most `limit` of `total`, from `offset` on."""

    total: int
    offset: int
    limit: int

    @property
    def next_offset(self) -> int | None:
        """The offset of the page after this one; None where this is the last."""
        following = self.offset + self.limit
        return following if following < self.total else None

    @property
    def values(self) -> dict[str, Any]:
        """What a JSON document says of the page."""
        return {
            "total": self.total,
            "offset": self.offset,
            "limit": self.limit,
            "next_offset": self.next_offset,
        }
