"""A run folder of prime-rl: traces by step, and what its trainer exported of their tokens.

    rollouts/step_N/{train,eval}/{all,effective}/traces.jsonl     what arrived, and what was trained
    traces/stream/*.jsonl, traces/annotations/*/*.jsonl           the same in newer versions
    token_exports/step_N/rank_R.jsonl                             schema_version 1

A trace is read once: of a step's `effective` file first, since it holds the advantages, then what
only `all` has, which was filtered and never trained.
"""

import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from rlvr.interchange.branches import Branch
from rlvr.interchange.foreign import Described, Options, Reading, Source
from rlvr.interchange.lines import files_of_form, json_rows, parse
from rlvr.interchange.places import files_at, files_below
from rlvr.interchange.traces import Exported, describe, holds_traces, traces_of
from rlvr.interchange.values import count, mapping, number, sequence
from rlvr.record import Mode, Trajectory

_STEP = re.compile(r"step_(\d+)")
_FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class PrimeRlRun:
    """The output folder of a prime-rl run."""

    options: Options
    name: ClassVar[str] = "prime-rl"
    title: ClassVar[str] = "prime-rl run"

    def files(self, path: Path) -> tuple[Path, ...]:
        """Traces, annotations and token exports; none where there are no traces by step."""
        if not path.is_dir():
            return ()
        traces = [*_step_files(path), *files_at(path / "traces" / "stream", ".jsonl")]
        readable = files_of_form(traces, holds_traces)
        if not readable:
            return ()
        beside = files_below(path / "traces" / "annotations", ".jsonl")
        return (*readable, *beside, *files_below(path / "token_exports", ".jsonl"))

    def describe(self, source: Source) -> Described:
        """What the first traces say, and what no such folder holds."""
        said = describe([file for file in source.files if _is_trace(file)], self.options)
        inferred = [*said.inferred]
        if any("token_exports" in file.parts for file in source.files):
            inferred.append("token exports were joined to traces of equal token ids in their step")
        return replace(said, name=source.path.resolve().name, inferred=tuple(inferred))

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """Every rollout once, step by step."""
        steps: dict[tuple[int, Mode], dict[str, Path]] = {}
        for file in source.files:
            if file.name == "traces.jsonl":
                steps.setdefault(_place(file), {})[file.parent.name] = file
        for (step, mode), files in steps.items():
            exports = _Exports(source if mode is Mode.TRAIN else None, step, reading)
            for rollout in self._step(files, exports.of, reading):
                yield replace(rollout, step=step, mode=mode)
        stream = [file for file in source.files if file.parent.name == "stream"]
        if stream:
            yield from self._stream(source, stream, reading)

    def _step(
        self, files: Mapping[str, Path], exported: Exported, reading: Reading
    ) -> Iterator[Trajectory]:
        effective: set[str] = set()
        if "effective" in files:
            for trace, rollout in traces_of(files["effective"], self.options, reading, exported):
                effective.add(trace)
                yield rollout
        if "all" in files:
            for trace, rollout in traces_of(files["all"], self.options, reading, exported):
                if trace not in effective or not trace:
                    yield _filtered(rollout) if "effective" in files else rollout

    def _stream(self, source: Source, stream: list[Path], reading: Reading) -> Iterator[Trajectory]:
        notes = _Notes(source, reading)
        for file in stream:
            for trace, rollout in traces_of(file, self.options, reading):
                yield notes.folded(trace, rollout)


class _Notes:
    """What annotations add to the traces of a stream: that they were trained, when, and how."""

    def __init__(self, source: Source, reading: Reading) -> None:
        self._notes: dict[str, tuple[int | None, float | None]] = {}
        for file in source.files:
            if "annotations" in file.parts:
                for _, row in json_rows(file, reading):
                    self._take(row)

    def folded(self, trace: str, rollout: Trajectory) -> Trajectory:
        """The rollout with its advantage and the step that it was trained at."""
        if not self._notes or rollout.mode is Mode.EVAL:
            return rollout
        if trace not in self._notes:
            return _filtered(rollout)
        step, advantage = self._notes[trace]
        return replace(
            rollout,
            step=rollout.step if step is None else step,
            advantage=rollout.advantage if advantage is None else advantage,
        )

    def _take(self, row: Mapping[str, Any]) -> None:
        trace = row.get("trace_id", row.get("id"))
        noted = mapping(row.get("info")) or row
        effective = noted.get("effective") or row.get("subset") == "effective"
        if isinstance(trace, str) and effective:
            step = count(mapping(noted.get("ship")).get("step"), "step")
            self._notes[trace] = (step, number(noted.get("advantage"), "advantage"))


class _Exports:
    """The token exports of one step, found by the ids of their tokens; none without a source.

    It holds some bytes a sequence.
    """

    def __init__(self, source: Source | None, step: int, reading: Reading) -> None:
        self._places: dict[bytes, tuple[Path, int]] = {}
        for file in source.files if source else ():
            if "token_exports" in file.parts and file.parent.name == f"step_{step}":
                self._index(file, reading)

    def of(self, branch: Branch) -> Mapping[str, Any] | None:
        """What was exported of a sequence of exactly these ids."""
        place = self._places.get(_digest(branch.token_ids))
        if place is None:
            return None
        file, offset = place
        with file.open("rb") as opened:
            opened.seek(offset)
            return mapping(parse(opened.readline()))

    def _index(self, file: Path, reading: Reading) -> None:
        before = reading.read_bytes
        for _, row in json_rows(file, reading):
            offset = reading.read_bytes - before
            ids = sequence(row.get("token_ids"))
            if row.get("schema_version") == 1 and ids:
                self._places.setdefault(_digest(ids), (file, offset))


def _filtered(rollout: Trajectory) -> Trajectory:
    return replace(rollout, info={**rollout.info, _FILTERED: True}, advantage=None)


def _digest(ids: Any) -> bytes:
    return hashlib.sha256(array("q", map(int, ids)).tobytes()).digest()[:16]


def _step_files(path: Path) -> list[Path]:
    below = path / "rollouts"
    return [
        file
        for file in files_below(below, "traces.jsonl")
        if len(file.relative_to(below).parts) == 4
        and _STEP.fullmatch(file.parts[-4])
        and file.parts[-3] in list(Mode)
    ]


def _is_trace(file: Path) -> bool:
    return file.name == "traces.jsonl" or file.parent.name == "stream"


def _place(file: Path) -> tuple[int, Mode]:
    return _number(file.parts[-4]), Mode(file.parts[-3])


def _number(folder: str) -> int:
    found = _STEP.fullmatch(folder)
    return int(found[1]) if found else 0
