"""From a dataset spec to problems: "path,name,split", several joined by ";"."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.environments.math_python.core import synthetic
from rlvr.environments.math_python.core.examples import MathExample, parse_example
from rlvr.environments.rows import parse_specs, parsed_rows
from rlvr.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to take of the problems.

    max_level: keep problems up to this level (None: all); those without a level stay.
    sort_by_level: easy ones first; otherwise the order of the rows. Nothing is ever shuffled.
    """

    max_level: int | None = None
    sort_by_level: bool = False


def load_examples(datasets: str, selection: Selection | None = None) -> list[MathExample]:
    """The selected problems of every dataset of a spec, in the order of the spec.

    Raises:
        ConfigurationError: the spec, a path, a split, a slice or a column is wrong, the hub can't
            be reached, or nothing is left.
    """
    examples = [
        example
        for spec in parse_specs(datasets)
        for example in parsed_rows(spec, parse_example, synthetic=synthetic.rows)
    ]
    if not examples:
        raise ConfigurationError(f"{datasets} holds no rows; check its slice")
    return select(examples, selection or Selection())


def select(examples: Sequence[MathExample], selection: Selection) -> list[MathExample]:
    """Filter and sort the problems.

    Raises:
        ConfigurationError: no problem has so low a level.
    """
    most = selection.max_level
    kept = [one for one in examples if most is None or one.level is None or one.level <= most]
    if not kept:
        least = min(one.level for one in examples if one.level is not None)
        raise ConfigurationError(
            f"no problem has a level of {most} or less, the least is {least}; raise max_level to "
            f"{least} at least, or set it to None to keep all"
        )
    if selection.sort_by_level:
        kept.sort(key=lambda one: one.level or 0)
    return kept
