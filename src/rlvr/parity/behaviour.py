"""What the kinds of rollouts account for: other shares of each kind, times what that kind gets."""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.parity.categories import Kind
from rlvr.parity.resampling import bounds
from rlvr.parity.stages import STATED, STATES

ANSWERS = "answers"
"""The line of the answers that state the reference."""

OUTNUMBERED = 10
"""Where rollouts of a kind outnumber a side's sound ones by this, these few are an odd selection,
and say little of what the others would have got."""

_SOUND = Kind.SOUND.place


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Weights and weighted rewards of one side by cell, in each resample. Shape (resamples, cells),
    where a cell is a kind x whether the answer states the reference."""

    size: Floats
    values: Floats

    @property
    def of_kind(self) -> Floats:
        """The weights of each kind. Shape (resamples, kinds)."""
        return np.asarray(self._by_kind(self.size).sum(axis=2))

    @property
    def whole(self) -> Floats:
        """The mean reward. Shape (resamples,)."""
        return np.asarray(self.values.sum(axis=1) / self.size.sum(axis=1))

    @property
    def stating(self) -> tuple[Floats, Floats]:
        """Of each kind the weights and rewards of the answers that state the reference."""
        return self._by_kind(self.size)[:, :, STATES], self._by_kind(self.values)[:, :, STATES]

    def _by_kind(self, cells: Floats) -> Floats:
        return cells.reshape(-1, len(Kind), STATED)

    @property
    def share(self) -> Floats:
        """Share of each kind. Shape (resamples, kinds)."""
        return np.asarray(self.of_kind / self.of_kind.sum(axis=1, keepdims=True))

    @property
    def mean(self) -> Floats:
        """Mean reward of each kind, 0 without a rollout. Shape (resamples, kinds)."""
        return _ratio(self._by_kind(self.values).sum(axis=2), self.of_kind)


def behaviour(a: Cells, b: Cells) -> tuple[dict[str, Floats], frozenset[str]]:
    """What other shares of each kind account for, and what answers that state the reference would
    gain if both sides scored them alike; and the kinds set beside the other side's rollouts."""
    within, across = _within(a, b), _across(a, b)
    beside_other = _beside_other(a, b, within, across)
    worth = np.where(beside_other | np.isnan(within), across, within)
    moved = (b.share - a.share) * worth
    present = (a.of_kind + b.of_kind)[0] > 0
    kinds = [kind for kind in Kind if kind is not Kind.SOUND and present[kind.place]]
    parts = {kind.value: np.asarray(moved[:, kind.place]) for kind in kinds}
    others = frozenset(kind.value for kind in kinds if beside_other[kind.place])
    return {**parts, ANSWERS: _stated(a, b)}, others


def _within(a: Cells, b: Cells) -> Floats:
    """What a rollout of each kind gets beside a sound one of its own side, of both sides on average
    as least squares would weigh them; NaN where no side has both. Shape (resamples, kinds).

    So another policy or another scorer on the other side does not look like the kind.
    """
    total, weight = np.zeros_like(a.share), np.zeros_like(a.share)
    for side in (a, b):
        sound = side.of_kind[:, [_SOUND]]
        own = _ratio(side.of_kind * sound, side.of_kind + sound)
        total += own * (side.mean - side.mean[:, [_SOUND]])
        weight += own
    return np.where(weight > 0, _ratio(total, weight), np.nan)


def _across(a: Cells, b: Cells) -> Floats:
    """What a rollout of each kind gets beside a sound one, whichever side they are on; beside the
    mean of all where nobody has a sound one. Shape (resamples, kinds)."""
    pooled = _ratio(a.share * a.mean + b.share * b.mean, a.share + b.share)
    whole = (a.share * a.mean + b.share * b.mean).sum(axis=1, keepdims=True) / 2
    nobody = (a.share + b.share)[:, [_SOUND]] == 0
    return np.asarray(pooled - np.where(nobody, whole, pooled[:, [_SOUND]]))


def _beside_other(a: Cells, b: Cells, within: Floats, across: Floats) -> Mask:
    """The kinds whose side has no fair sample of sound rollouts to set them beside: none, or less
    than one to OUTNUMBERED of the kind that do not contradict the other side's. Shape (kinds,)."""
    found = []
    for place in range(len(Kind)):
        more = a if a.share[0, place] > b.share[0, place] else b
        few = more.of_kind[0, _SOUND] * OUTNUMBERED < more.of_kind[0, place]
        low, high = bounds(within[1:, place], 0.95)
        contradicted = not low <= across[0, place] <= high
        found.append(bool(np.isnan(within[0, place])) or (few and not contradicted))
    return np.array(found)


def _stated(a: Cells, b: Cells) -> Floats:
    """What the side that gives them less would gain, kind by kind; as part of B - A."""
    (size_a, values_a), (size_b, values_b) = a.stating, b.stating
    of_a, of_b = (
        size / one.size.sum(axis=1, keepdims=True) for size, one in ((size_a, a), (size_b, b))
    )
    more = np.where(
        (of_a > 0) & (of_b > 0), _ratio(values_b, size_b) - _ratio(values_a, size_a), 0.0
    )
    return np.asarray((np.where(more > 0, of_a, of_b) * more).sum(axis=1))


def _ratio(a: Floats, b: Floats) -> Floats:
    """a / b, 0 where b is 0."""
    return np.asarray(np.divide(a, b, out=np.zeros_like(a), where=b > 0))
