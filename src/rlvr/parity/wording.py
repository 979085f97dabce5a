"""Numbers in sentences."""

import math
from collections.abc import Sequence

from rlvr.parity.intervals import Estimate


def percent(value: float) -> str:
    """A share in percent, never rounded to none or to all of them."""
    if math.isnan(value):
        return "unknown"
    if 0 < value < 0.001:
        return "under 0.1%"
    if 0.999 < value < 1:
        return "over 99.9%"
    near_an_end = 0 < value < 0.1 or 0.99 < value < 1
    return f"{value:.1%}".replace(".0%", "%") if near_an_end else f"{value:.0%}"


def level(value: float, *, percentages: bool) -> str:
    """A mean reward: in percent where all values lie between 0 and 1."""
    return percent(value) if percentages else _plain(value)


def points(value: float, *, percentages: bool, unit: bool = True) -> str:
    """A difference of two mean rewards: in points of a hundred, or as it is."""
    if not percentages:
        return _plain(value)
    shown = f"{100 * value:.1f}".removesuffix(".0") if abs(value) < 0.1 else f"{100 * value:.0f}"
    shown = "0" if shown in ("-0", "-0.0") else shown
    return f"{shown} point{'' if shown in ('1', '-1') else 's'}" if unit else shown


def span(found: Estimate, *, percentages: bool) -> str:
    """The bounds of a difference: "18 to 30"."""
    if math.isnan(found.low) or math.isnan(found.high):
        return "unknown"
    low, high = (
        points(bound, percentages=percentages, unit=False) for bound in (found.low, found.high)
    )
    return f"{low} to {high}"


def listed(names: Sequence[str], limit: int = 6) -> str:
    """ "a, b and c"; more than `limit` are counted."""
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "none"


def counted(count: int, noun: str) -> str:
    """ "1 example", "2,000 examples"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _plain(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.3g}"
