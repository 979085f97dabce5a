"""Made-up words by Zipf's law, and texts of them, thousands at once as Arrow arrays."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WORDS = 50_000
SYLLABLES = "ka to ri mo sen dra vel qu ni pol sta em ur lin bo ges tha wy cor fa"
EXPONENT = -1.05
SENTENCE_WORDS = 14
_DRAWS = 1 << 22

Strings: TypeAlias = "pa.Array[Any]"
Counts: TypeAlias = npt.NDArray[np.int64]


class Texts:
    """Seeded words: the n-th is drawn n**-1.05 times as often as the first.

    Texts need no escapes in JSON: they are letters, spaces and full stops.
    """

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.words = _words(np.random.default_rng(seed))

    def texts(self, counts: Counts) -> Strings:
        """A text of each number of words."""
        total = int(counts.sum())
        ranks = self._ranked[self.draw.integers(_DRAWS, size=total)]
        ends = self.draw.random(total) < 1 / SENTENCE_WORDS
        words = self._spelled.take(arrow(ranks + np.where(ends, WORDS, 0).astype(np.int32)))
        offsets = arrow(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        join: Any = pc.binary_join
        joined: Strings = join(pa.ListArray.from_arrays(offsets, words), " ")
        return joined

    def counts(self, mean: float, rows: int) -> Counts:
        """Numbers of words that differ by a third, none below a fifth of the mean."""
        drawn = np.maximum(self.draw.normal(mean, mean / 3, rows), mean / 5)
        counts: Counts = np.ceil(drawn).astype(np.int64)
        return counts

    def of(self, mean: float, rows: int) -> Strings:
        """So many texts of some `mean` words."""
        return self.texts(self.counts(mean, rows))

    @cached_property
    def _ranked(self) -> npt.NDArray[np.int32]:
        """Ranks of words, each as often as it is drawn."""
        chance = np.arange(1, WORDS + 1) ** EXPONENT
        drawn = np.searchsorted(np.cumsum(chance / chance.sum()), self.draw.random(_DRAWS))
        ranks: npt.NDArray[np.int32] = np.minimum(drawn, WORDS - 1).astype(np.int32)
        return ranks

    @cached_property
    def _spelled(self) -> Strings:
        """The words, and after them the words that end a sentence."""
        return pa.array([*self.words, *(f"{word}." for word in self.words)])


def arrow(values: Any) -> Any:
    """An Arrow array; the stubs know none of the kinds of arrays of numpy."""
    return pa.array(values)


def _words(draw: np.random.Generator) -> Sequence[str]:
    syllables, lengths = SYLLABLES.split(" "), np.array([1, 2, 3, 3, 4])
    found: dict[str, None] = {}
    while len(found) < WORDS:
        places = draw.integers(len(syllables), size=(WORDS, 4))
        parts = lengths[draw.integers(len(lengths), size=WORDS)]
        for row, count in zip(places.tolist(), parts.tolist(), strict=True):
            found["".join(syllables[at] for at in row[:count])] = None
    return list(found)[:WORDS]
