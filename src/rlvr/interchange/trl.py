"""TRL's completions: one Parquet file for each logged step, as `log_completions=True` writes them.

Columns: step, prompt, completion, one for each reward function, further ones that reward functions
logged, advantage. Which of the columns between completion and advantage are rewards is not said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.interchange.foreign import UNUSABLE, Described, Options, Reading, Source, UnusableRow
from rlvr.interchange.grouping import Consecutive, prompt_key
from rlvr.interchange.places import files_at
from rlvr.interchange.values import (
    components,
    count,
    info,
    last_user_text,
    messages,
    number,
    total,
)
from rlvr.interchange.weights import Scored, unit_weights
from rlvr.record import Blob, Mode, Trajectory

_FIXED = ("step", "prompt", "completion", "advantage")
_ROWS = 64
_JUDGED_ROWS = 2_048
_TORN = (OSError, pa.ArrowException, ValueError)


@dataclass(frozen=True, slots=True)
class TrlCompletions:
    """The folder `completions` of a training with TRL, its output folder, or one of the files."""

    options: Options
    name: ClassVar[str] = "trl"
    title: ClassVar[str] = "TRL completions (Parquet)"

    def files(self, path: Path) -> tuple[Path, ...]:
        """The Parquet files, torn ones among them, where one at least has TRL's columns."""
        for folder in (path, path / "completions"):
            files = files_at(folder, ".parquet")
            schemas = {file: _names(file) for file in files}
            ours = [file for file, names in schemas.items() if names and set(_FIXED) <= set(names)]
            if ours:
                return tuple(file for file in files if file in ours or schemas[file] is None)
        return ()

    def describe(self, source: Source) -> Described:
        """What every such folder lacks, and the weights that its advantages show."""
        files, rewards = source.files, _reward_names(source.files)
        weights, reason = dict(self.options.weights), ""
        if not weights:
            scored = _scored(files, rewards)
            found = unit_weights(scored, rewards)
            weights, reason = dict(found.weights), found.sentence
        inferred = [
            "the columns of numbers between completion and advantage are taken for reward"
            f" components: {', '.join(rewards) or 'none'}",
            "groups were inferred from equal prompts in consecutive rows of a step",
            "every rollout is taken for one of training, though TRL keeps those of evaluations in"
            " the same files",
        ]
        return Described(
            absent={
                "which rollouts are of an evaluation": (),
                "group ids": ("duplicate-prompts",),
                "tool calls as they were written": (),
                "whether a scorer failed": ("scorer-errors",),
            },
            inferred=tuple([*inferred, reason] if reason else inferred),
            weights=weights,
        )

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """One rollout a row; a file that only repeats the one before it is left out."""
        rewards = _reward_names(source.files)
        weights = self.describe(source).weights
        mode = self.options.mode or Mode.TRAIN
        groups = Consecutive()
        before: Path | None = None
        for file in source.files:
            size = file.stat().st_size if file.exists() else 0
            if _names(file) is None:
                reading.damage(file, None, "no Parquet file that can be read: torn?")
            elif before is not None and _repeats(file, before, rewards):
                pass
            else:
                yield from _of_file(file, _Reader(rewards, weights, mode, groups), reading)
                before = file
            reading.advance(size)


def _of_file(file: Path, reader: "_Reader", reading: Reading) -> Iterator[Trajectory]:
    for place, row in _rows(file, reading):
        try:
            yield reader.rollout(row)
        except UNUSABLE as error:
            reading.damage(file, place, error)


def _rows(file: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    place = 0
    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=_ROWS, use_threads=False):
                for row in batch.to_pylist():
                    place += 1
                    yield place, row
    except _TORN as error:
        reading.damage(file, place + 1, f"can't be read on from here ({error})")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes rollouts of rows, one after the other."""

    rewards: Sequence[str]
    weights: Mapping[str, float]
    mode: Mode
    groups: Consecutive

    def rollout(self, row: Mapping[str, Any]) -> Trajectory:
        """The rollout of the next row.

        Raises:
            UnusableRow: it is none.
        """
        blobs: list[Blob] = []
        prompt = messages(_without_padding(row["prompt"]), "user", blobs)
        completion = messages(_without_padding(row["completion"]), "assistant", blobs)
        step = count(row["step"], "step")
        if step is None or not (prompt or completion):
            raise UnusableRow("a row without step, or without prompt and completion")
        values = {name: row[name] for name in self.rewards if name in row}
        scored = components(values, self.weights)
        return Trajectory(
            run="",
            mode=self.mode,
            step=step,
            batch=0,
            attempt=0,
            group_id=self.groups.group(step, prompt_key(prompt)),
            sample=0,
            question=last_user_text(prompt),
            info=info(row, {*_FIXED, *self.rewards}),
            prompt=prompt,
            completion=completion,
            blobs=tuple(blobs),
            components=scored,
            reward=total(scored),
            advantage=number(row["advantage"], "advantage"),
        )


def _without_padding(value: Any) -> Any:
    """Messages without the nulls that a column adds to each argument object that lacks a key."""
    if not isinstance(value, list):
        return value
    return [_tidied(message) if isinstance(message, dict) else message for message in value]


def _tidied(message: dict[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_without_nulls(call) for call in calls]}


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}


def _names(file: Path) -> list[str] | None:
    """The columns of a Parquet file, None where it can't be read."""
    try:
        return list(pq.read_schema(file).names)
    except _TORN:
        return None


def _reward_names(files: Sequence[Path]) -> tuple[str, ...]:
    """The columns of numbers between completion and advantage, over all files, in order."""
    found: dict[str, None] = {}
    for file in files:
        try:
            schema = pq.read_schema(file)
        except _TORN:
            continue
        for column in schema:
            if column.name not in _FIXED and not column.name.startswith("__index"):
                numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
                if numeric or pa.types.is_null(column.type):
                    found[column.name] = None
    return tuple(found)


def _scored(files: Sequence[Path], rewards: Sequence[str]) -> list[Scored]:
    """Rewards and advantages of the first rows, each with its group."""
    found: list[Scored] = []
    groups = Consecutive()
    reading = Reading()
    for file in files:
        for _, row in _rows(file, reading):
            prompt = messages(row["prompt"], "user", [])
            group = groups.group(row["step"], prompt_key(prompt))
            values = tuple(row.get(name) for name in rewards)
            found.append(
                Scored(group=(row["step"], group), values=values, advantage=row["advantage"])
            )
        if len(found) >= _JUDGED_ROWS:
            break
    return found


def _repeats(file: Path, before: Path, rewards: Sequence[str]) -> bool:
    """Whether a file logs the rows of the one before it again, as it does where a batch is trained
    in several steps."""
    try:
        numbers = [*rewards, "advantage"]
        names = [name for name in numbers if name in (_names(file) or ())]
        if not _same(file, before, names):
            return False
        return _same(file, before, ["prompt", "completion"])
    except _TORN:
        return False


def _same(file: Path, other: Path, columns: Sequence[str]) -> bool:
    one = pq.read_table(file, columns=list(columns), use_threads=False)
    two = pq.read_table(other, columns=list(columns), use_threads=False)
    return bool(one.num_rows == two.num_rows and one.equals(two))
