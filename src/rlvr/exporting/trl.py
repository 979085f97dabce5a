"""TRL's completions: one Parquet file a step, as `GRPOConfig(log_completions=True)` writes them.

Columns, in TRL's order: step, prompt, completion, one for each reward component, advantage. What
TRL calls its step counts the update that the rollouts were trained in; here it is the record's.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.exporting.chat import MESSAGE, chat_message, clean
from rlvr.exporting.format import About, Exported
from rlvr.exporting.portions import portions
from rlvr.record import Trajectory

_FIXED = frozenset({"step", "prompt", "completion", "advantage"})


@dataclass(frozen=True, slots=True)
class Trl:
    """A folder of `completions_NNNNN.parquet`, one for each step."""

    name: ClassVar[str] = "trl"
    title: ClassVar[str] = "TRL completions (Parquet)"
    lacks: ClassVar[tuple[str, ...]] = (
        "group ids and places in the group",
        "the mode, so it holds rollouts of one",
        "totals and weights of the reward components",
        "whether a scorer failed: a component without a value is null",
        "raw results, errors and times of tools",
        "tokens, logprobs and evidence on them",
        "turns, stop reasons, errors and costs",
        "the dataset row beyond its prompt",
        "images",
        "annotations",
    )
    files: ClassVar[str | None] = r"completions_\d{5,}\.parquet"
    one_mode: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def read_back(self, output: str) -> str:
        """rlvr's own import reads it."""
        return f"rlvr import {output}"

    def write(self, rollouts: Iterator[Exported], out: Path, about: About) -> None:
        """One file for each step, in row groups that memory holds."""
        declared = tuple(about.info.components) if about.info else ()
        for step, of_step in groupby(rollouts, key=lambda exported: exported.trajectory.step):
            _write_step(of_step, out / f"completions_{step:05d}.parquet", declared)


def _write_step(rollouts: Iterator[Exported], path: Path, declared: Sequence[str]) -> None:
    """One file. Its columns are the run's components, and those of its first rollouts."""
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        schema = pa.schema([])
        for portion in portions(rollouts):
            batch = [exported.trajectory for exported in portion]
            if writer is None:
                schema = _schema(batch, declared)
                writer = stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
            writer.write_table(_table(batch, schema))


def _schema(batch: Sequence[Trajectory], declared: Sequence[str]) -> pa.Schema:
    scored = [component.name for row in batch for component in row.components]
    names = [clean(name) for name in dict.fromkeys([*declared, *scored]) if name not in _FIXED]
    columns: list[tuple[str, pa.DataType]] = [
        ("step", pa.int64()),
        ("prompt", pa.list_(MESSAGE)),
        ("completion", pa.list_(MESSAGE)),
        *((name, pa.float64()) for name in dict.fromkeys(names)),
        ("advantage", pa.float64()),
    ]
    return pa.schema(columns)


def _table(batch: Sequence[Trajectory], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([_row(trajectory) for trajectory in batch], schema=schema)


def _row(trajectory: Trajectory) -> dict[str, Any]:
    values = {clean(component.name): component.value for component in trajectory.components}
    return {
        **values,
        "step": trajectory.step,
        "prompt": [chat_message(message) for message in trajectory.prompt],
        "completion": [chat_message(message) for message in trajectory.completion],
        "advantage": trajectory.advantage,
    }
