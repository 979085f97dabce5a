"""Where rows come from: a local file or folder, a bundled generator, or the hub.

Each reader yields rows of one split, already sliced.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rlvr.errors import ConfigurationError

Row = Mapping[str, Any]


class Generator(Protocol):
    """Makes rows from a seed: equal arguments give equal rows."""

    def __call__(self, *, seed: int, count: int, split: str) -> Iterator[Row]:
        """`count` rows of a split."""


SUFFIXES = (".jsonl", ".json", ".parquet")
SYNTHETIC_ROWS = 1024
"""Rows of a synthetic split where the spec has no slice that says how many."""

_BOUND = r"(-?\d+%?)?"
_SPLIT = re.compile(rf"(?P<name>\w[\w.-]*)(?:\[{_BOUND}:{_BOUND}\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A split and the slice of it, in the grammar of `datasets`: "train[:256]", "train[10%:]"."""

    name: str
    start: str | None = None
    stop: str | None = None

    def bounds(self, rows: int) -> tuple[int, int]:
        """First row and end (exclusive) of the slice of a split that has `rows` rows."""
        start, stop, _ = slice(_place(self.start, rows), _place(self.stop, rows)).indices(rows)
        return start, stop

    @property
    def rows_needed(self) -> int | None:
        """How many rows from the start hold the slice; None where that needs the split's size."""
        stop, start = self.stop, self.start or "0"
        if stop is None or any(mark in bound for bound in (start, stop) for mark in "%-"):
            return None
        return int(stop)

    def __str__(self) -> str:
        if self.start is None and self.stop is None:
            return self.name
        return f"{self.name}[{self.start or ''}:{self.stop or ''}]"


def parse_split(text: str) -> Split:
    """Read "train", "train[:256]", "train[-10%:]" and the like.

    Raises:
        ConfigurationError: it is none of these.
    """
    match = _SPLIT.fullmatch(text)
    if not match:
        raise ConfigurationError(
            f"{text!r} is no split; write a name, if need be with one slice: "
            "train, train[:256], train[100:200], validation[:10%]"
        )
    return Split(name=match["name"], start=match[2], stop=match[3])


def seeded_rows(generate: Generator, name: str, split: Split) -> Iterator[Row]:
    """Rows of a bundled generator. `name` is "seed-N", or nothing for seed 0."""
    seed = re.fullmatch(r"seed-(\d{1,9})", name or "seed-0")
    if not seed:
        raise ConfigurationError(
            f"the synthetic dataset has no name {name!r}; write seed-0, seed-1 and so on, "
            "as in synthetic,seed-0,train[:256]"
        )
    count = split.rows_needed
    count = SYNTHETIC_ROWS if count is None else count
    start, stop = split.bounds(count)
    rows = generate(seed=int(seed[1]), count=stop, split=split.name)
    return itertools.islice(rows, start, stop)


def local_rows(path: Path, name: str, split: Split) -> Iterator[Row]:
    """Rows of a file, of a folder with one file per split, or of a saved `datasets` folder."""
    if path.is_file():
        _check_file_split(path, split)
        return _sliced([path], split)
    folder = path / name if name and (path / name).is_dir() else path
    if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
        return iter(_saved_rows(folder, split))
    files = _files_by_split(folder)
    if split.name not in files:
        raise ConfigurationError(
            f"{folder} has no split {split.name!r}; it has {', '.join(files) or 'no data files'}. "
            f"Name one of its splits, or add {split.name}.jsonl or {split.name}.parquet to it"
        )
    return _sliced(files[split.name], split)


def hub_rows(path: str, name: str, split: Split, *, cache_dir: str | None = None) -> Iterator[Row]:
    """Rows of a dataset on the Hugging Face hub, through `datasets.load_dataset`.

    Raises:
        ConfigurationError: there is no such dataset, name or split, or the hub can't be reached.
    """
    import datasets

    try:
        loaded = datasets.load_dataset(path, name or None, split=str(split), cache_dir=cache_dir)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise ConfigurationError(
            f"no dataset {path!r} here or on the hub. Check the spelling; if it is private, "
            "log in with `hf auth login`; a local folder needs a path that exists"
        ) from error
    except ConnectionError as error:
        raise ConfigurationError(
            f"the hub can't be reached, and {path!r} is not in the cache: {error}. Connect, name "
            "a local folder, or use the bundled sample: synthetic,seed-0,train[:256]"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"dataset {path!r} does not load with name {name!r} and split {str(split)!r}: {error} "
            "Check both on the dataset's page"
        ) from error
    return iter(loaded)


def _place(bound: str | None, rows: int) -> int | None:
    if bound is None:
        return None
    if bound.endswith("%"):
        return round(int(bound[:-1]) / 100 * rows)
    return int(bound)


def _check_file_split(path: Path, split: Split) -> None:
    """A file is one split: "train", as `datasets` calls it, or a word of the file's name."""
    names = dict.fromkeys(["train", *re.split(r"[^A-Za-z0-9]+", path.stem), path.stem])
    if split.name not in names:
        raise ConfigurationError(
            f"{path} is one split and has no {split.name!r}; call it train"
            f"{''.join(f' or {name}' for name in names if name and name != 'train')}"
        )


def _files_by_split(folder: Path) -> dict[str, list[Path]]:
    """Data files by split: "train.jsonl", and "train-00000-of-00002.parquet" with its shards."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES:
            files.setdefault(re.sub(r"-\d{5}-of-\d{5}$", "", path.stem), []).append(path)
    return files


def _saved_rows(folder: Path, split: Split) -> Iterable[Row]:
    import datasets

    saved = datasets.load_from_disk(str(folder))
    splits = dict(saved) if isinstance(saved, datasets.DatasetDict) else {"train": saved}
    if split.name not in splits:
        raise ConfigurationError(
            f"{folder} has no split {split.name!r}; it has {', '.join(splits)}"
        )
    chosen = splits[split.name]
    rows: Iterable[Row] = chosen.select(range(*split.bounds(len(chosen))))
    return rows


def _sliced(files: list[Path], split: Split) -> Iterator[Row]:
    """The slice of the files' rows; reads no further than it has to."""
    rows = itertools.chain.from_iterable(map(_file_rows, files))
    needed = split.rows_needed
    if needed is not None:
        return itertools.islice(rows, int(split.start or 0), needed)
    everything = list(rows)
    return iter(everything[slice(*split.bounds(len(everything)))])


def _file_rows(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    if path.suffix in SUFFIXES:
        return _json_rows(path)
    raise ConfigurationError(
        f"{path} has the suffix {path.suffix or '(none)'}; rows are read from {', '.join(SUFFIXES)}"
    )


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise ConfigurationError(f"{path} is no readable parquet file: {error}") from error


def _json_rows(path: Path) -> Iterator[Row]:
    """One JSON object a line; a `.json` file may also be one list of them."""
    with path.open(encoding="utf-8") as lines:
        first = next((line for line in lines if line.strip()), "")
        if path.suffix == ".json" and first.lstrip().startswith("["):
            yield from _decoded(first + lines.read(), where=str(path))
            return
        for number, line in enumerate(itertools.chain([first], lines), start=1):
            if line.strip():
                row = _decoded(line, where=f"{path}, line {number}")
                if not isinstance(row, dict):
                    raise ConfigurationError(f"{path}, line {number}: not a JSON object")
                yield row


def _decoded(text: str, *, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{where}: not valid JSON ({error}); write one JSON object a line"
        ) from error
