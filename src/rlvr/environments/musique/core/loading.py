"""From a dataset spec to examples: "path,name,split", several joined by ";"."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rlvr.environments.musique.core import synthetic
from rlvr.environments.musique.core.examples import MusiqueExample, parse_example
from rlvr.environments.rows import parse_specs, parsed_rows
from rlvr.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to take of the examples.

    max_hops: keep questions with fewer hops than this (None: all).
    sort_by_hops: easy ones first; otherwise the order of the rows. Nothing is ever shuffled.
    noise: the share of each question's non-supporting paragraphs to drop, in [0, 1].
    seed: decides which of them.
    """

    max_hops: int | None = 3
    sort_by_hops: bool = True
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise <= 1.0:
            raise ConfigurationError(
                f"noise is {self.noise}; it is the share of the non-supporting paragraphs to "
                "drop, from 0 to 1"
            )


def load_examples(datasets: str, selection: Selection | None = None) -> list[MusiqueExample]:
    """The selected examples of every dataset of a spec, in the order of the spec.

    Raises:
        ConfigurationError: the spec, a path, a split, a slice or a column is wrong, the hub can't
            be reached, or nothing is left.
    """
    selection = selection or Selection()
    examples = [
        example
        for spec in parse_specs(datasets)
        for example in parsed_rows(spec, parse_example, synthetic=synthetic.rows)
    ]
    if not examples:
        raise ConfigurationError(f"{datasets} holds no rows; check its slice")
    return select(examples, selection)


def select(examples: Sequence[MusiqueExample], selection: Selection) -> list[MusiqueExample]:
    """Filter, sort and thin out the examples.

    Raises:
        ConfigurationError: no example has that few hops.
    """
    limit = selection.max_hops
    kept = [example for example in examples if limit is None or example.hops < limit]
    if not kept:
        fewest = min((example.hops for example in examples), default=0)
        raise ConfigurationError(
            f"no question has fewer than {limit} hops, the fewest is {fewest}; raise max_hops "
            f"above {fewest}, or set it to None to keep all"
        )
    if selection.sort_by_hops:
        kept.sort(key=lambda example: example.hops)
    return [drop_noise(example, share=selection.noise, seed=selection.seed) for example in kept]


def drop_noise(example: MusiqueExample, *, share: float, seed: int) -> MusiqueExample:
    """Without `share` of its non-supporting paragraphs, drawn by `seed` and the example's id.

    The paragraphs that stay keep their order and ids.
    """
    noise = [place for place, p in enumerate(example.paragraphs) if not p.supporting]
    chance = random.Random(f"{seed}/{example.id}")
    dropped = frozenset(chance.sample(noise, round(share * len(noise))))
    kept = (p for place, p in enumerate(example.paragraphs) if place not in dropped)
    return replace(example, paragraphs=tuple(kept))
