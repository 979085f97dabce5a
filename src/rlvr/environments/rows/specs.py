"""Dataset specs: "path,name,split", several joined by ";"."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rlvr.environments.rows.sources import (
    SUFFIXES,
    Generator,
    Row,
    Split,
    hub_rows,
    local_rows,
    parse_split,
    seeded_rows,
)
from rlvr.errors import ConfigurationError

SYNTHETIC = "synthetic"
_GRAMMAR = (
    "write path,name,split, several joined by ';', for example "
    "owner/dataset,name,train or synthetic,seed-0,train[:256]"
)
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """One dataset. `path` is a hub id, a local path, or "synthetic"; `name` may be empty."""

    path: str
    name: str
    split: Split


def parse_specs(text: str) -> tuple[DatasetSpec, ...]:
    """Read "path,name,split;path,name,split".

    Raises:
        ConfigurationError: a spec has not three parts, no path, or no valid split.
    """
    specs = tuple(_parse_spec(part.strip()) for part in text.split(";") if part.strip())
    if not specs:
        raise ConfigurationError(f"the dataset spec {text!r} is empty; {_GRAMMAR}")
    return specs


def parsed_rows(
    spec: DatasetSpec, parse: Callable[[Row], _Parsed], *, synthetic: Generator
) -> Iterator[_Parsed]:
    """Every row of a spec, parsed; `synthetic` makes the rows of the bundled sample.

    Raises:
        ConfigurationError: a path, a split, a slice or a row is wrong, or the hub can't be reached.
    """
    for number, row in enumerate(_rows(spec, synthetic)):
        try:
            yield parse(row)
        except ConfigurationError as error:
            raise ConfigurationError(f"{spec.path}, row {number} of the slice: {error}") from error


def _parse_spec(text: str) -> DatasetSpec:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not parts[0]:
        raise ConfigurationError(f"{text!r} is no dataset spec; {_GRAMMAR}")
    path, name, split = parts
    return DatasetSpec(path=path, name=name, split=parse_split(split))


def _rows(spec: DatasetSpec, synthetic: Generator) -> Iterator[Row]:
    if spec.path == SYNTHETIC:
        return seeded_rows(synthetic, spec.name, spec.split)
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
