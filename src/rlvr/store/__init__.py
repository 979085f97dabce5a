"""The layout of a run on disk, and its writer."""

from rlvr.store.base import Store
from rlvr.store.layout import (
    ANNOTATIONS_FOLDER,
    ATTEMPTS_FOLDER,
    BLOBS_FOLDER,
    METRICS_FOLDER,
    RANKS_FOLDER,
    RETENTION_FILE,
    RUN_FILE,
    RUNS_FOLDER,
    TRAJECTORIES_FOLDER,
    VOCABULARY_FILE,
    BatchName,
    annotations_path,
    attempt_path,
    blob_path,
    is_run_id,
    metrics_path,
    parse_attempt,
    parse_rank,
    parse_record_id,
    rank_path,
    run_folder,
)
from rlvr.store.limited import LimitedStore, folder_bytes
from rlvr.store.local import DEFAULT_RESERVE_BYTES, LocalStore
from rlvr.store.memory import FailingStore, FullDiskStore, MemoryStore, SlowStore
from rlvr.store.parquet import parquet_bytes
from rlvr.store.process import host_name, process_mark

__all__ = [
    "ANNOTATIONS_FOLDER",
    "ATTEMPTS_FOLDER",
    "BLOBS_FOLDER",
    "DEFAULT_RESERVE_BYTES",
    "METRICS_FOLDER",
    "RANKS_FOLDER",
    "RETENTION_FILE",
    "RUNS_FOLDER",
    "RUN_FILE",
    "TRAJECTORIES_FOLDER",
    "VOCABULARY_FILE",
    "BatchName",
    "FailingStore",
    "FullDiskStore",
    "LimitedStore",
    "LocalStore",
    "MemoryStore",
    "SlowStore",
    "Store",
    "annotations_path",
    "attempt_path",
    "blob_path",
    "folder_bytes",
    "host_name",
    "is_run_id",
    "metrics_path",
    "parquet_bytes",
    "parse_attempt",
    "parse_rank",
    "parse_record_id",
    "process_mark",
    "rank_path",
    "run_folder",
]
