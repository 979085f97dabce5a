"""Write what a reader gives as an ordinary run, by the project's own recorder."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from rlvr.codec import encode_run
from rlvr.errors import RunNotFound, StoreError
from rlvr.interchange.foreign import Described, GroupBy, Reading
from rlvr.interchange.grouping import Grouping
from rlvr.interchange.held import Held
from rlvr.interchange.places import size_of
from rlvr.interchange.recognise import Recognised
from rlvr.interchange.report import ImportReport
from rlvr.record import Mode, RunInfo, Trajectory
from rlvr.recorder import Recorder, RecorderReport
from rlvr.recorder.size import trajectory_bytes
from rlvr.runs import find_runs
from rlvr.store import RUN_FILE, LocalStore

_HELD_BYTES = 48 << 20
"""Rollouts of open batches in memory; beyond it the largest batch is written."""

_HELD_ROWS = 20_000
_QUEUE_BYTES = 96 << 20
_PATIENCE_S = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an import is: bytes of the source read, of how many, and rollouts so far."""

    read_bytes: int
    total_bytes: int
    rollouts: int


def import_source(
    found: Recognised,
    output_dir: str | Path,
    *,
    group_by: GroupBy = GroupBy.AUTO,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> ImportReport:
    """Record everything that can be read of a source as a new run below `output_dir`.

    Memory is bounded whatever the size of the source, but for some hundred bytes a group. An import
    that dies leaves a run that holds what was written until then.

    Raises:
        RunNotFound: not one rollout could be read; no run is left behind then.
        StoreError: the run can't be written, or not all of it.
    """
    started = time.monotonic()
    described = found.format.describe(found.source)
    earlier = _earlier(output_dir, found)
    counts = _Counts(group_by)
    total = size_of(found.source.files)
    reading = Reading(
        on_progress=lambda done: on_progress(
            Progress(read_bytes=done, total_bytes=total, rollouts=counts.held.rollouts)
        ),
    )
    rollouts = iter(found.format.rollouts(found.source, reading))
    first = next(rollouts, None)
    if first is None:
        raise RunNotFound(_nothing(found, reading))
    info = _info(found, described)
    with Recorder.open(
        output_dir, info=info, queue_bytes=_QUEUE_BYTES, wait_s=_PATIENCE_S
    ) as recorder:
        _record(recorder, chain((first,), rollouts), counts)
        written = recorder.close(_PATIENCE_S)
    _insist(written)
    final = _finished(replace(info, run=recorder.run), described, counts)
    LocalStore(recorder.folder).commit(RUN_FILE, encode_run(final))
    return ImportReport(
        source=found.source.path,
        format=found.format.name,
        title=found.format.title,
        files=len(found.source.files),
        run=recorder.run,
        folder=recorder.folder,
        rollouts={mode.value: count for mode, count in counts.modes.items()},
        steps=counts.grouping.steps,
        groups=counts.grouping.groups,
        components=counts.held.components,
        absent=final.absent,
        inferred=tuple(final.inferred),
        partly=counts.held.partly(),
        damaged=reading.damaged,
        first_damaged=tuple(reading.first),
        passed_over=described.passed_over,
        other_formats=tuple(other.name for other in found.others),
        earlier=earlier,
        read_bytes=reading.read_bytes,
        duration_s=time.monotonic() - started,
    )


class _Counts:
    """What was counted of the rollouts on their way."""

    def __init__(self, group_by: GroupBy) -> None:
        self.grouping = Grouping(group_by)
        self.held = Held()
        self.modes: Counter[Mode] = Counter()

    def placed(self, rollout: Trajectory) -> Trajectory:
        """The rollout with its place, counted."""
        self.held.add(rollout)
        self.modes[rollout.mode] += 1
        return self.grouping.placed(rollout)


class _Open:
    """Batches that may still grow, so that a source of mixed steps does not make a file a row."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._rows: dict[tuple[Mode, int], list[Trajectory]] = {}
        self._sizes: Counter[tuple[Mode, int]] = Counter()

    def add(self, rollout: Trajectory) -> None:
        """Take a rollout; write the largest batches where too much is held."""
        key = (rollout.mode, rollout.step)
        self._rows.setdefault(key, []).append(rollout)
        self._sizes[key] += trajectory_bytes(rollout)
        if len(self._rows[key]) >= _HELD_ROWS:
            self._write(key)
        if self._sizes.total() > _HELD_BYTES:
            while self._sizes.total() > _HELD_BYTES // 2:
                self._write(max(self._sizes, key=self._sizes.__getitem__))

    def end(self) -> None:
        """Write what is held, in order."""
        for key in sorted(self._rows):
            self._write(key)

    def _write(self, key: tuple[Mode, int]) -> None:
        del self._sizes[key]
        self._recorder.record_batch(self._rows.pop(key))
        _insist(self._recorder.report())


def _record(recorder: Recorder, rollouts: Iterable[Trajectory], counts: _Counts) -> None:
    held = _Open(recorder)
    for rollout in rollouts:
        held.add(counts.placed(rollout))
    held.end()


def _insist(written: RecorderReport) -> None:
    """An import is whole or says that it is not.

    Raises:
        StoreError: something was not written.
    """
    if written.lost:
        raise StoreError(f"the import stops: {written.text}. Free some space and import again.")


def _info(found: Recognised, described: Described) -> RunInfo:
    """What is known before the first rollout is read."""
    return RunInfo(
        run="",
        created_at=described.created_at or time.time(),
        name=described.name or found.source.path.resolve().name,
        trainer=f"imported: {found.format.title}",
        model=described.model,
        dataset=described.dataset,
        sampling=described.sampling,
        limits=described.limits,
        config=described.config,
        tools=described.tools,
        components=described.weights,
        num_generations=described.num_generations,
        packages=described.packages,
        imported_from=str(found.source.path.resolve()),
        absent=described.absent,
        inferred=described.inferred,
    )


def _finished(info: RunInfo, described: Described, counts: _Counts) -> RunInfo:
    """What is known once every rollout was read."""
    inferred = list(info.inferred)
    if counts.grouping.inferred and "group ids" not in described.absent:
        some = "groups" if not counts.grouping.named else "some groups"
        inferred.append(f"{some} were inferred from equal prompts of a step")
    also = dict(described.absent)
    if not counts.grouping.named:
        also["group ids"] = ("duplicate-prompts",)
    return replace(info, absent=counts.held.absent(also), inferred=tuple(inferred))


def _earlier(output_dir: str | Path, found: Recognised) -> tuple[str, ...]:
    """Ids of the runs that were imported from the same path into the same folder."""
    source = str(found.source.path.resolve())
    runs = find_runs(output_dir) if Path(output_dir).is_dir() else []
    return tuple(run.id for run in runs if run.info and run.info.imported_from == source)


def _nothing(found: Recognised, reading: Reading) -> str:
    places = "; ".join(place.text for place in reading.first)
    damaged = f" {reading.damaged:,} lines or files are damaged: {places}." if places else ""
    return (
        f"{found.source.path} looks like {found.format.title}, but not one rollout could be read of"
        f" it.{damaged} Name another path, or another --format."
    )
