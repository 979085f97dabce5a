"""Trajectories to Arrow and JSON, and back, exactly."""

from rlvr.codec.derived import derived_columns, text_hash
from rlvr.codec.documents import (
    decode_attempt,
    decode_document,
    decode_run,
    decode_vocabulary,
    document_fields,
    encode_attempt,
    encode_document,
    encode_run,
    encode_vocabulary,
    said_compacted,
)
from rlvr.codec.migrations import MIGRATIONS, Migration, columns_to_read, migrated, migrations_of
from rlvr.codec.packed import pack_floats, pack_marks, unpack_floats, unpack_marks
from rlvr.codec.rows import (
    ANNOTATIONS_SCHEMA,
    METRICS_SCHEMA,
    annotations_from_table,
    annotations_to_table,
    metrics_from_table,
    metrics_to_table,
)
from rlvr.codec.shapes import to_message
from rlvr.codec.text import MAX_DEPTH, dump, dump_plain, load, pack, unpack
from rlvr.codec.trajectories import check_trajectories, from_table, has_tokens, to_table
from rlvr.codec.versions import (
    check_columns,
    check_format,
    derived_version,
    mark_pruned,
    pruned_parts,
    stamp,
)

__all__ = [
    "ANNOTATIONS_SCHEMA",
    "MAX_DEPTH",
    "METRICS_SCHEMA",
    "MIGRATIONS",
    "Migration",
    "annotations_from_table",
    "annotations_to_table",
    "check_columns",
    "check_format",
    "check_trajectories",
    "columns_to_read",
    "decode_attempt",
    "decode_document",
    "decode_run",
    "decode_vocabulary",
    "derived_columns",
    "derived_version",
    "document_fields",
    "dump",
    "dump_plain",
    "encode_attempt",
    "encode_document",
    "encode_run",
    "encode_vocabulary",
    "from_table",
    "has_tokens",
    "load",
    "mark_pruned",
    "metrics_from_table",
    "metrics_to_table",
    "migrated",
    "migrations_of",
    "pack",
    "pack_floats",
    "pack_marks",
    "pruned_parts",
    "said_compacted",
    "stamp",
    "text_hash",
    "to_message",
    "to_table",
    "unpack",
    "unpack_floats",
    "unpack_marks",
]
