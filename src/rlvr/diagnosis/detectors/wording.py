"""Numbers and lists as a sentence says them."""

from collections.abc import Sequence


def percent(share: float) -> str:
    """A share of 0 to 1 in percent: 0 and 100 only where they are exact."""
    if 0 < share < 0.001:
        return "under 0.1%"
    if 0 < share < 0.01:
        return f"{share:.1%}"
    if 0.99 < share < 1:
        return "over 99%"
    return f"{share:.0%}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def counted(count: int, noun: str) -> str:
    """`1 group`, `2,000 groups`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def in_rollouts(hits: int, *, judged: int, of: int) -> str:
    """How a sentence begins: `In all rollouts`, `In 20% of the rollouts`. `judged` of all `of`
    recorded what it takes to say so."""
    if hits == of:
        return "In all rollouts"
    known = "" if judged == of else " that recorded it"
    return f"In {percent(hits / judged)} of the rollouts{known}"
