"""How far the trainer's logprobs are from the sampler's, by rollout and by turn."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import GAP


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """|trainer - sampler| logprob of a run's rollouts, in nats. Arrays have shape (rollouts,)."""

    rollouts: Rollouts

    @cached_property
    def mean(self) -> Floats:
        """Mean of each rollout, NaN where it was not measured."""
        return self.rollouts.numbers("gap_mean")

    @cached_property
    def known(self) -> Mask:
        """Where it was measured."""
        return ~np.isnan(self.mean)

    @cached_property
    def over(self) -> Mask:
        """Where it is larger than rounding makes it, in the whole or in the turns after the first:
        a long first turn hides what is wrong with the others."""
        return self.largest > GAP

    @cached_property
    def largest(self) -> Floats:
        """The mean of each rollout or that of its turns after the first, whichever is larger."""
        return np.fmax(self.mean, self.later)

    @cached_property
    def first(self) -> Floats:
        """Mean over the first turn of each rollout."""
        return self._mean_of(self._turns == 0)

    @cached_property
    def later(self) -> Floats:
        """Mean over the turns after the first."""
        return self._mean_of(self._turns > 0)

    @cached_property
    def worst_turn(self) -> Ints:
        """The turn of the largest mean, -1 where none is known."""
        worst = np.full(len(self.mean), -1, dtype=np.int64)
        known = np.flatnonzero(~np.isnan(self._values))
        ranked = known[np.argsort(self._values[known], kind="stable")]
        worst[self._rows[ranked]] = self._turns[ranked]  # of several the last one stays
        return worst

    def by_turn(self, where: Mask) -> list[tuple[int, float]]:
        """(turn, mean over the tokens of that turn) of the rollouts chosen."""
        used = where[self._rows] & np.isfinite(self._values) & (self._tokens > 0)
        turns, tokens = self._turns[used], self._tokens[used]
        totals = np.bincount(turns, weights=self._values[used] * tokens)
        counts = np.bincount(turns, weights=tokens)
        return [
            (turn, float(total / count))
            for turn, (total, count) in enumerate(zip(totals, counts, strict=True))
            if count
        ]

    @cached_property
    def _entries(self) -> tuple[Ints, Ints, Floats, Floats]:
        rows, turns, values = self.rollouts.entries("gap_mean_by_turn")
        *_, tokens = self.rollouts.entries("gap_tokens_by_turn")
        if tokens.shape != values.shape:  # written by somebody else, without their numbers
            tokens = np.ones_like(values)
        return rows, turns, values, np.nan_to_num(tokens)

    @property
    def _rows(self) -> Ints:
        return self._entries[0]

    @property
    def _turns(self) -> Ints:
        return self._entries[1]

    @property
    def _values(self) -> Floats:
        return self._entries[2]

    @property
    def _tokens(self) -> Floats:
        return self._entries[3]

    def _mean_of(self, chosen: Mask) -> Floats:
        """Mean over the chosen entries of each rollout, weighted by their tokens."""
        used = chosen & np.isfinite(self._values) & (self._tokens > 0)
        rows, tokens = self._rows[used], self._tokens[used]
        count = len(self.mean)
        totals = np.bincount(rows, weights=self._values[used] * tokens, minlength=count)
        counts = np.bincount(rows, weights=tokens, minlength=count)
        means = np.full(count, np.nan)
        np.divide(totals, counts, out=means, where=counts > 0)
        return means
