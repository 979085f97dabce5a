"""The names of a run's files. Pure: knows no disk."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rlvr.errors import ConfigurationError
from rlvr.record import Mode

RUNS_FOLDER = "rlvr"
RUN_FILE = "run.json"
VOCABULARY_FILE = "vocabulary.json"
RETENTION_FILE = "retention.json"
MIRROR_FOLDER = "mirror"
ATTEMPTS_FOLDER = "attempts"
RANKS_FOLDER = "ranks"
TRAJECTORIES_FOLDER = "trajectories/L0"
COMPACTED_FOLDER = "trajectories/L1"
ANNOTATIONS_FOLDER = "annotations"
METRICS_FOLDER = "metrics"
BLOBS_FOLDER = "blobs"

_STEM = re.compile(
    r"(?P<mode>train|eval)-s(?P<step>\d{6,})-b(?P<batch>\d{6,})-a(?P<attempt>\d{2,})"
    r"-r(?P<rank>\d{3,})(?:-p(?P<part>\d{2,}))?"
)
_COMPACTED = re.compile(
    r"(?P<mode>train|eval)-s(?P<first>\d{6,})-s(?P<last>\d{6,})-a(?P<attempt>\d{2,})"
    r"-(?P<digest>[0-9a-f]{12})"
)
_ID = re.compile(r"(?P<stem>.+)-(?P<row>\d{5,})")
_ATTEMPT = re.compile(r"a(\d{2,})\.json")
_RANK = re.compile(r"r(\d{3,})-a(\d{2,})\.json")
_WRITER = re.compile(r"(?:^|-)r(\d{3,})(?=[-.])")
_MIRROR = re.compile(r"r(\d{3,})\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BatchName:
    """What the name of a trajectory file says.

    `part` is above 0 where a trainer sent one (mode, step, batch) in several pieces.
    """

    attempt: int
    step: int
    mode: Mode
    batch: int
    rank: int
    part: int = 0

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        part = f"-p{self.part:02d}" if self.part else ""
        return (
            f"{self.mode}-s{self.step:06d}-b{self.batch:06d}"
            f"-a{self.attempt:02d}-r{self.rank:03d}{part}"
        )

    @property
    def path(self) -> str:
        """The file's name inside the run's folder."""
        return f"{TRAJECTORIES_FOLDER}/{self.stem}.parquet"

    def record_id(self, row: int) -> str:
        """Id of the trajectory in that row."""
        return f"{self.stem}-{row:05d}"

    @classmethod
    def parse(cls, stem: str) -> "BatchName | None":
        """What a stem says, or None where it is not one of ours."""
        found = _STEM.fullmatch(stem)
        if found is None:
            return None
        return cls(
            attempt=int(found["attempt"]),
            step=int(found["step"]),
            mode=Mode(found["mode"]),
            batch=int(found["batch"]),
            rank=int(found["rank"]),
            part=int(found["part"] or 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CompactedName:
    """What the name of a compacted file says: enough to pass it over without opening it.

    `digest` follows from the batches that it was made of, so that two that compact the same ones
    write the same file.
    """

    attempt: int
    first_step: int
    last_step: int
    mode: Mode
    digest: str

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return (
            f"{self.mode}-s{self.first_step:06d}-s{self.last_step:06d}"
            f"-a{self.attempt:02d}-{self.digest}"
        )

    @property
    def path(self) -> str:
        """The file's name inside the run's folder."""
        return f"{COMPACTED_FOLDER}/{self.stem}.parquet"

    def may_hold(self, name: BatchName) -> bool:
        """Whether that batch can be one of those in the file."""
        if (name.mode, name.attempt) != (self.mode, self.attempt):
            return False
        return self.first_step <= name.step <= self.last_step

    @classmethod
    def of(cls, names: Iterable[BatchName]) -> "CompactedName":
        """The name of a file of these batches, which have one mode and one attempt."""
        batches = sorted(names)
        stems = "\n".join(name.stem for name in batches)
        return cls(
            attempt=batches[0].attempt,
            first_step=batches[0].step,
            last_step=batches[-1].step,
            mode=batches[0].mode,
            digest=hashlib.sha256(stems.encode()).hexdigest()[:12],
        )

    @classmethod
    def parse(cls, stem: str) -> "CompactedName | None":
        """What a stem says, or None where it is not one of ours."""
        found = _COMPACTED.fullmatch(stem)
        if found is None:
            return None
        return cls(
            attempt=int(found["attempt"]),
            first_step=int(found["first"]),
            last_step=int(found["last"]),
            mode=Mode(found["mode"]),
            digest=found["digest"],
        )


def parse_record_id(record_id: str) -> tuple[BatchName, int] | None:
    """File and row of a trajectory's id, or None where it is no such id."""
    found = _ID.fullmatch(record_id)
    name = BatchName.parse(found["stem"]) if found else None
    return (name, int(found["row"])) if found and name else None


def run_folder(output_dir: str | Path, run: str) -> Path:
    """Folder of a run."""
    return Path(output_dir) / RUNS_FOLDER / run


def is_run_id(run: str) -> bool:
    """Whether the text can name a run's folder."""
    return _RUN.fullmatch(run) is not None


def attempt_path(attempt: int) -> str:
    """File that an attempt claims."""
    return f"{ATTEMPTS_FOLDER}/a{attempt:02d}.json"


def parse_attempt(name: str) -> int | None:
    """Attempt of a file in the attempts' folder, or None where it is not one of ours."""
    found = _ATTEMPT.fullmatch(name)
    return int(found[1]) if found else None


def rank_path(rank: int, attempt: int) -> str:
    """File in which a process counts what it was offered and what it recorded."""
    return f"{RANKS_FOLDER}/r{rank:03d}-a{attempt:02d}.json"


def parse_rank(name: str) -> tuple[int, int] | None:
    """Rank and attempt of a file in the ranks' folder, or None where it is not one of ours."""
    found = _RANK.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def mirror_path(rank: int) -> str:
    """File in which a process says how far it has mirrored the run; it is not mirrored itself."""
    return f"{MIRROR_FOLDER}/r{rank:03d}.json"


def parse_mirror(name: str) -> int | None:
    """Rank of a file in the mirror's folder, or None where it is not one of ours."""
    found = _MIRROR.fullmatch(name)
    return int(found[1]) if found else None


def rank_of(name: str) -> int | None:
    """Rank of the process that wrote a file of a run, or None where its name does not say."""
    found = _WRITER.search(name.rpartition("/")[2])
    return int(found[1]) if found else None


def metrics_path(attempt: int, rank: int, chunk: int) -> str:
    """File of metric rows."""
    return f"{METRICS_FOLDER}/a{attempt:02d}-r{rank:03d}-{chunk:06d}.parquet"


def annotations_path(kind: str, attempt: int, rank: int, chunk: int) -> str:
    """File of annotations of one kind; a kind that can't name a folder is escaped."""
    return f"{_kind_folder(kind)}/a{attempt:02d}-r{rank:03d}-{chunk:06d}.parquet"


def later_annotations_path(kind: str, writer: str, chunk: int) -> str:
    """File of annotations that no process of the training writes.

    `writer` is unique among all that ever add to the run, such as a time and a random text.
    """
    return f"{_kind_folder(kind)}/later-{writer}-{chunk:06d}.parquet"


def _kind_folder(kind: str) -> str:
    return f"{ANNOTATIONS_FOLDER}/" + (quote(kind, safe="").replace(".", "%2E") or "%")


def blob_path(sha256: str) -> str:
    """File of a blob.

    Raises:
        ConfigurationError: the hash is not 64 hex digits.
    """
    if _SHA256.fullmatch(sha256) is None:
        raise ConfigurationError(
            f"a blob is named {sha256!r}; name it by hashlib.sha256(data).hexdigest()."
        )
    return f"{BLOBS_FOLDER}/{sha256}"
