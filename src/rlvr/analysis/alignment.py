"""Two sequences of token ids side by side."""

from collections.abc import Sequence
from difflib import Match, SequenceMatcher

Pair = tuple[int | None, int | None]
"""A place in each of two sequences; None where one has nothing."""

WINDOW = 2_000
"""Tokens that are matched at once: matching is quadratic, and this many take under a second."""

ANCHOR = 8
"""So many equal tokens in a row are taken to be the same stretch of text."""


def aligned(ours: Sequence[int], theirs: Sequence[int]) -> tuple[list[Pair], bool]:
    """Every place of both, in order, equal tokens beside each other; and whether that is so.

    Where a whole window holds no stretch in common, what follows stands beside each other by its
    distance from the last common token, and the answer is False.
    """
    stretches, matched = _common(ours, theirs)
    pairs: list[Pair] = []
    left = right = 0
    for stretch in stretches:
        pairs += _abreast(range(left, stretch.a), range(right, stretch.b))
        pairs += [(stretch.a + at, stretch.b + at) for at in range(stretch.size)]
        left, right = stretch.a + stretch.size, stretch.b + stretch.size
    return pairs, matched


def _common(ours: Sequence[int], theirs: Sequence[int]) -> tuple[list[Match], bool]:
    """The stretches that both have, in order, and whether both were matched to their ends."""
    start, tail = _same_ends(ours, theirs)
    ends = len(ours) - tail, len(theirs) - tail
    last = Match(*ends, tail)
    found = [Match(0, 0, start)]
    left = right = start
    while left < ends[0] and right < ends[1]:
        stops = min(left + WINDOW, ends[0]), min(right + WINDOW, ends[1])
        windows = ours[left : stops[0]], theirs[right : stops[1]]
        blocks = SequenceMatcher(None, *windows, autojunk=False).get_matching_blocks()
        here = [Match(left + b.a, right + b.b, b.size) for b in blocks if b.size]
        if stops == ends:
            return [*found, *here, last], True
        while here and here[-1].size < ANCHOR:
            here.pop()
        if not here:
            return [*found, last], False
        found += here
        left, right = here[-1].a + here[-1].size, here[-1].b + here[-1].size
    return [*found, last], True


def _abreast(ours: range, theirs: range) -> list[Pair]:
    return [
        (ours[at] if at < len(ours) else None, theirs[at] if at < len(theirs) else None)
        for at in range(max(len(ours), len(theirs)))
    ]


def _same_ends(ours: Sequence[int], theirs: Sequence[int]) -> tuple[int, int]:
    """How many tokens are the same at the beginning, and how many of the others at the end."""
    shorter = min(len(ours), len(theirs))
    start = next((at for at in range(shorter) if ours[at] != theirs[at]), shorter)
    rest = shorter - start
    tail = next((at for at in range(rest) if ours[-1 - at] != theirs[-1 - at]), rest)
    return start, tail
