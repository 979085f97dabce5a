"""A folder that `datasets.load_dataset("path")` reads: Parquet files and a card.

Training and evaluation are the splits train and eval. Scalar columns are the record's own, by
`rlvr.schema`; messages and components are lists of objects, and what has no common form is JSON
text.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.codec import to_table
from rlvr.exporting.chat import MESSAGE, chat_message, clean, optional
from rlvr.exporting.format import About, Exported
from rlvr.exporting.portions import portions
from rlvr.record import Component, Mode, Trajectory
from rlvr.schema import COLUMNS, TOKENS

_COMPONENT = pa.struct(
    [
        ("name", pa.string()),
        ("value", pa.float64()),
        ("weight", pa.float64()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("duration_s", pa.float64()),
    ]
)
_LISTS: dict[str, pa.DataType] = {
    "prompt": pa.list_(MESSAGE),
    "completion": pa.list_(MESSAGE),
    "components": pa.list_(_COMPONENT),
}
_LEFT_OUT = frozenset({"rewards", "blobs", *_LISTS})


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A dataset folder."""

    name: ClassVar[str] = "hf"
    title: ClassVar[str] = "a Hugging Face dataset"
    lacks: ClassVar[tuple[str, ...]] = (
        "lone surrogates in messages: a question mark",
        "images and other parts that are no text",
        "further fields of messages",
        "annotations",
    )
    files: ClassVar[str | None] = r"README\.md|data/(train|eval)-00000-of-00001\.parquet"
    one_mode: ClassVar[bool] = False
    shared: ClassVar[bool] = True

    def read_back(self, output: str) -> str:
        """datasets itself."""
        code = "import sys, datasets; print(datasets.load_dataset(sys.argv[1]))"
        return f"python -c '{code}' {output}"

    def write(self, rollouts: Iterator[Exported], out: Path, about: About) -> None:
        """One file for each mode, in row groups that memory holds, and the card."""
        (out / "data").mkdir()
        writers: dict[Mode, pq.ParquetWriter] = {}
        counts: dict[Mode, int] = {}
        with ExitStack() as stack:
            for portion in portions(rollouts):
                for mode in Mode:
                    batch = [e.trajectory for e in portion if e.trajectory.mode is mode]
                    if not batch:
                        continue
                    table = _table(batch)
                    if mode not in writers:
                        writer = pq.ParquetWriter(out / _path(mode), table.schema)
                        writers[mode] = stack.enter_context(writer)
                    writers[mode].write_table(table)
                    counts[mode] = counts.get(mode, 0) + len(batch)
        (out / "README.md").write_text(_card(about, counts), encoding="utf-8")


def _path(mode: Mode) -> str:
    return f"data/{mode.value}-00000-of-00001.parquet"


def _table(batch: Sequence[Trajectory]) -> pa.Table:
    """Every column of a record; the token columns always, so that all row groups are alike."""
    table = to_table(batch, tokens=True)
    lists = {
        "prompt": [[chat_message(m) for m in row.prompt] for row in batch],
        "completion": [[chat_message(m) for m in row.completion] for row in batch],
        "components": [[_component(c) for c in row.components] for row in batch],
    }
    names = [column.name for column in COLUMNS + TOKENS if column.name not in _LEFT_OUT]
    columns: dict[str, Any] = {name: table[name] for name in names}
    columns |= {name: pa.array(lists[name], type=kind) for name, kind in _LISTS.items()}
    return pa.table(columns)


def _component(component: Component) -> dict[str, Any]:
    return {
        "name": clean(component.name),
        "value": component.value,
        "weight": component.weight,
        "status": component.status.value,
        "error": optional(component.error),
        "duration_s": component.duration_s,
    }


def _card(about: About, counts: dict[Mode, int]) -> str:
    splits = "".join(
        f"  - split: {mode.value}\n    path: {_path(mode)}\n" for mode in Mode if mode in counts
    )
    info = about.info
    facts = {
        "run": about.run,
        "model": info.model if info else None,
        "trainer": info.trainer if info else None,
        "dataset": info.dataset if info else None,
        **{f"{mode.value} rollouts": f"{count:,}" for mode, count in counts.items()},
    }
    listed = "".join(f"- {name}: {_one_line(value)}\n" for name, value in facts.items() if value)
    columns = "".join(
        f"| {column.name} | {column.doc} |\n"
        for column in COLUMNS + TOKENS
        if column.name in _LISTS or column.name not in _LEFT_OUT
    )
    return (
        "---\ntags:\n- rlvr\n- reinforcement-learning\nconfigs:\n- config_name: default\n"
        f"  data_files:\n{splits}---\n\n"
        f"# Rollouts of a training run\n\nWritten by `rlvr export`.\n\n{listed}\n"
        f"| column | meaning |\n|---|---|\n{columns}"
    )


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())
