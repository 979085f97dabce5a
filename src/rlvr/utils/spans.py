"""Spans of steps as people write them."""

import re

_SPAN = re.compile(r"(\d{0,18}):(\d{0,18})")
_ENDLESS = 1 << 62


def span_of(text: str) -> range | None:
    """The steps of A:B, both included; either may lack. None where it is no such span."""
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    first, last = int(found[1] or 0), int(found[2] or _ENDLESS)
    return range(first, last + 1) if first <= last else None


def span_text(span: range) -> str:
    """A span of steps as a person writes it."""
    return f"{span.start}:{'' if span.stop > _ENDLESS else span.stop - 1}"
