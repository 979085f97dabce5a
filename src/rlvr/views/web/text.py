"""Long texts in a page: folded where they are long, cut where they are huge."""

from dataclasses import dataclass

from rlvr.utils.text import cut_middle
from rlvr.views.terminal.text import one_line

FOLDED_CHARS = 3_000
"""A text that is longer is folded."""

MOST_CHARS = 200_000
"""Of one text in a page. Its middle is cut, which says how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A text for a page. `begins` is its first line where it is folded, "" where it is open."""

    body: str
    begins: str = ""
    chars: int = 0


def folded(text: str, limit: int = MOST_CHARS, fold: int = FOLDED_CHARS) -> Shown:
    """The text as it stands, to be folded where it is longer than `fold`."""
    body = cut_middle(text, limit, "the record has them")
    begins = one_line(text, 160) if len(text) > fold else ""
    return Shown(body=body, begins=begins, chars=len(text))
