"""Checks of what lies beside the trajectories: counts, batches, annotations, blobs, the files."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.checking.answers import Answers
from rlvr.codec import (
    ANNOTATIONS_SCHEMA,
    METRICS_SCHEMA,
    annotations_from_table,
    metrics_from_table,
    unpack,
)
from rlvr.record import Mode
from rlvr.runs import Run
from rlvr.runs.files import Damage, every_column
from rlvr.runs.later import metric_files
from rlvr.runs.notes import annotation_files
from rlvr.runs.prune import find_leftovers
from rlvr.runs.status import RankStatus, RunStatus
from rlvr.store import (
    ATTEMPTS_FOLDER,
    BLOBS_FOLDER,
    RETENTION_FILE,
    BatchName,
    attempt_path,
    blob_path,
    parse_record_id,
    rank_path,
)

_OTHERS = 0o077
_BLOCK = 1 << 20


@dataclass(slots=True)
class Held:
    """What the trajectory files turned out to hold: rows, and the number after the last one.

    left_out: numbers without a row, by process, since these could not be encoded.
    """

    rows: dict[BatchName, int] = field(default_factory=dict)
    ends: dict[BatchName, int] = field(default_factory=dict)
    left_out: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))

    def of_process(self, attempt: int, rank: int) -> int:
        """Rows that a process recorded."""
        return sum(
            rows for name, rows in self.rows.items() if (name.attempt, name.rank) == (attempt, rank)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What may explain that rows are missing: losses that were counted, by attempt, and pruning."""

    losses: Mapping[int, int]
    pruned: bool
    newest: int
    living: bool

    @classmethod
    def of(cls, run: Run, status: RunStatus) -> "Circumstances":
        """Those of a run."""
        losses: dict[int, int] = defaultdict(int)
        for rank in status.ranks:
            losses[rank.attempt] += rank.not_recorded
        attempts = [attempt.attempt for attempt in run.attempts]
        return cls(
            losses=losses,
            pruned=(run.path / RETENTION_FILE).exists(),
            newest=max(attempts, default=0),
            living=any(rank.alive is not False for rank in status.ranks),
        )

    def excuse(self, attempt: int) -> str | None:
        """Why rows of an attempt may be missing; None where none may."""
        if self.losses.get(attempt):
            return f"attempt {attempt} lost at least {self.losses[attempt]:,} rollouts"
        if self.pruned and attempt < self.newest:
            return f"superseded rows of attempt {attempt} may have been pruned"
        return None


def check_counts(status: RunStatus, held: Held, why: Circumstances, answers: Answers) -> None:
    """What each process counted, against the rows of its files."""
    known = {(rank.attempt, rank.rank) for rank in status.ranks}
    for rank in status.ranks:
        answers.seen("counts")
        wrong = _miscount(rank, held.of_process(rank.attempt, rank.rank), why)
        if wrong is not None:
            answers.wrong("counts", rank_path(rank.rank, rank.attempt), wrong)
        gaps = held.left_out.get((rank.attempt, rank.rank), 0)
        if gaps > rank.failed and not rank.dead:
            said = f"{gaps} rows have no number, and {rank.failed} could not be encoded"
            answers.wrong("ids", rank_path(rank.rank, rank.attempt), said)
        if rank.not_recorded:
            answers.note("counts", f"attempt {rank.attempt} rank {rank.rank} lost at least"
                         f" {rank.not_recorded:,} rollouts; see `rlvr status`")  # fmt: skip
    for place in sorted({(name.attempt, name.rank) for name in held.rows} - known):
        answers.seen("counts")
        answers.wrong("counts", rank_path(place[1], place[0]), "has files, but no counts")
    for attempt, number in status.missing:
        answers.note("counts", f"attempt {attempt} rank {number} never wrote anything")


def _miscount(rank: RankStatus, rows: int, why: Circumstances) -> str | None:
    if rows < rank.recorded and not (why.pruned and rank.attempt < why.newest):
        return f"recorded {rank.recorded:,} rollouts, its files hold {rows:,}"
    if rows > rank.recorded and rank.closed:
        return f"recorded {rank.recorded:,} rollouts, its files hold {rows:,}"
    kept = rank.recorded + rank.dropped + rank.failed
    if kept > rank.offered or (rank.closed and kept != rank.offered):
        return (
            f"was offered {rank.offered:,} rollouts, of which {rank.recorded:,} recorded,"
            f" {rank.dropped:,} dropped and {rank.failed:,} failed"
        )
    return None


def check_batches(held: Held, why: Circumstances, answers: Answers) -> None:
    """The numbers of the generation batches of each attempt and mode."""
    numbers: dict[tuple[int, Mode], set[int]] = defaultdict(set)
    for name in held.rows:
        numbers[name.attempt, name.mode].add(name.batch)
    for (attempt, mode), found in sorted(numbers.items()):
        answers.seen("batches", len(found))
        for number in sorted(set(range(min(found), max(found))) - found):
            excuse = why.excuse(attempt)
            if excuse is not None:
                answers.note("batches", f"a batch is missing: {excuse}")
            else:
                answers.wrong(
                    "batches", f"{mode} batch {number} of attempt {attempt}", "is missing"
                )


def check_attempts(run: Run, held: Held, answers: Answers) -> None:
    """The files that attempts claim, against those whose rows there are."""
    described = {attempt.attempt for attempt in run.attempts}
    numbers = {name.attempt for name in held.rows} | described
    for number in range(max(numbers, default=-1) + 1):
        answers.seen("attempts")
        if number not in described:
            why = "is missing or says nothing"
            answers.wrong("attempts", attempt_path(number), why)
    if not (run.path / ATTEMPTS_FOLDER).is_dir():
        answers.unknown("attempts", f"there is no folder {ATTEMPTS_FOLDER}")


def check_annotations(
    run: Run, damage: Damage, held: Held | None, why: Circumstances, answers: Answers
) -> None:
    """Every annotation: that it decodes and, where all rows were read, has its rollout."""
    for path in annotation_files(run.path):
        for table in damage.tables(path, ANNOTATIONS_SCHEMA, every_column):
            list(damage.rows(path, table, annotations_from_table))  # notes what does not decode
            if held is not None:
                _known(table["id"].to_pylist(), held, why, answers)
    for path in metric_files(run.path):
        for table in damage.tables(path, METRICS_SCHEMA, every_column):
            list(damage.rows(path, table, metrics_from_table))


def _known(ids: Iterable[Any], held: Held, why: Circumstances, answers: Answers) -> None:
    for id in map(unpack, map(str, ids)):
        answers.seen("annotations")
        place = parse_record_id(id)
        if place is not None and place[1] < held.ends.get(place[0], 0):
            continue
        excuse = None if place is None else why.excuse(place[0].attempt)
        if excuse is None and why.living:
            excuse = "the run is still being written"
        if excuse is not None:
            answers.note("annotations", f"a rollout is missing: {excuse}")
        else:
            answers.wrong("annotations", id, "there is no such rollout", is_id=place is not None)


def check_blobs(folder: Path, named: set[str] | None, damage: Damage, answers: Answers) -> None:
    """The blobs by their hash; `named`: those that rollouts name, None where not all are known."""
    present = set()
    for path in sorted((folder / BLOBS_FOLDER).glob("[!.]*")):
        answers.seen("blobs")
        present.add(path.name)
        try:
            damage.fetch(path)
            digest = _sha256(path)
        except OSError as error:
            damage.note(path, error)
            continue
        if digest != path.name:
            answers.wrong("blobs", f"{BLOBS_FOLDER}/{path.name}", f"holds what hashes to {digest}")
    for sha256 in sorted((named or set()) - present):
        answers.seen("blobs")
        answers.wrong("blobs", blob_path(sha256), "is gone")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_files(run: Run, answers: Answers, *, private: bool) -> int:
    """Modes of the files, empty ones, and temporaries; returns how many bytes the files take.

    What lies behind a URL has neither modes nor temporaries, and files are empty until fetched.
    """
    if run.origin is not None:
        for name in ("modes", "leftovers"):
            answers.unknown(name, "the run lies behind a URL")
        return run.size_bytes
    size = 0
    for path in sorted(run.path.rglob("*")):
        state = path.lstat()
        if path.is_symlink() or not path.is_file():
            continue
        size += state.st_size
        if not state.st_size and not path.name.startswith("."):
            answers.wrong("files", str(path.relative_to(run.path)), "is empty")
        if private:
            answers.seen("modes")
            if state.st_mode & _OTHERS:
                said = f"has mode {state.st_mode & 0o777:o}, not 600"
                answers.wrong("modes", str(path.relative_to(run.path)), said)
    if not private:
        answers.unknown("modes", "a bundled run is for everybody to read")
    answers.seen("leftovers")
    for path, bytes_left in find_leftovers(run):
        said = f"is a leftover of {bytes_left:,} bytes"
        answers.wrong("leftovers", str(path.relative_to(run.path)), said)
    return size
