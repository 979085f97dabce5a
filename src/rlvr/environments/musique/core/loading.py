"""From a dataset spec to examples: "path,name,split", several joined by ";"."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rlvr.environments.musique.core.examples import MusiqueExample, parse_example
from rlvr.environments.musique.core.sources import (
    SUFFIXES,
    Row,
    Split,
    hub_rows,
    local_rows,
    parse_split,
    synthetic_rows,
)
from rlvr.errors import ConfigurationError

SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """One dataset. `path` is a hub id, a local path, or "synthetic"; `name` may be empty."""

    path: str
    name: str
    split: Split


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


def parse_specs(text: str) -> tuple[DatasetSpec, ...]:
    """Read "path,name,split;path,name,split".

    Raises:
        ConfigurationError: a spec has not three parts, no path, or no valid split.
    """
    specs = tuple(_parse_spec(part.strip()) for part in text.split(";") if part.strip())
    if not specs:
        raise ConfigurationError(f"the dataset spec {text!r} is empty; {_GRAMMAR}")
    return specs


def load_examples(datasets: str, selection: Selection | None = None) -> list[MusiqueExample]:
    """The selected examples of every dataset of a spec, in the order of the spec.

    Raises:
        ConfigurationError: the spec, a path, a split, a slice or a column is wrong, the hub can't
            be reached, or nothing is left.
    """
    selection = selection or Selection()
    examples = [example for spec in parse_specs(datasets) for example in _examples(spec)]
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


_GRAMMAR = (
    "write path,name,split, several joined by ';', for example "
    "bdsaglam/musique-mini,answerable,train or synthetic,seed-0,train[:256]"
)


def _parse_spec(text: str) -> DatasetSpec:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not parts[0]:
        raise ConfigurationError(f"{text!r} is no dataset spec; {_GRAMMAR}")
    path, name, split = parts
    return DatasetSpec(path=path, name=name, split=parse_split(split))


def _examples(spec: DatasetSpec) -> Iterator[MusiqueExample]:
    for number, row in enumerate(_rows(spec)):
        try:
            yield parse_example(row)
        except ConfigurationError as error:
            raise ConfigurationError(f"{spec.path}, row {number} of the slice: {error}") from error


def _rows(spec: DatasetSpec) -> Iterator[Row]:
    if spec.path == SYNTHETIC:
        return synthetic_rows(spec.name, spec.split)
    path = Path(spec.path).expanduser()
    if path.exists():
        return local_rows(path, spec.name, spec.split)
    if _looks_local(spec.path):
        raise ConfigurationError(
            f"there is no file or folder {spec.path} (looked from {Path.cwd()}); {_GRAMMAR}"
        )
    return hub_rows(spec.path, spec.name, spec.split)


def _looks_local(path: str) -> bool:
    hub_id = re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", path)
    return not hub_id or path.endswith(SUFFIXES)
