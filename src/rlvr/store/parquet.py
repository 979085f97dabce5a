"""Arrow tables as the bytes of Parquet files: zstd, encodings by column, small row groups."""

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.schema import COLUMNS, TOKENS, Encoding

ROW_GROUP_ROWS = 64
ROW_GROUP_BYTES = 32 << 20
ZSTD_LEVEL = 3


def parquet_bytes(
    table: pa.Table, *, rows: int = ROW_GROUP_ROWS, group_bytes: int = ROW_GROUP_BYTES
) -> bytes:
    """A Parquet file of the table.

    A row group has at most `rows` rows, and no more than `group_bytes` of uncompressed values
    unless a single row is larger: opening one trajectory reads one row group.
    """
    names = set(table.column_names)
    declared = [column for column in COLUMNS + TOKENS if column.name in names]
    dictionary = [column.leaf for column in declared if column.encoding is Encoding.DICTIONARY]
    # Of texts the smallest and largest would be written out in full.
    compared = [column.leaf for column in declared if column.type != pa.string()]
    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer,
        table.schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=dictionary,  # type: ignore[arg-type]  # the stubs know only bool
        use_byte_stream_split=[
            c.leaf for c in declared if c.encoding is Encoding.BYTE_STREAM_SPLIT
        ],
        write_statistics=compared,
        write_page_checksum=True,
    ) as writer:
        for group in _row_groups(table, rows, group_bytes):
            writer.write_table(group, row_group_size=rows)
    return buffer.getvalue()


def _row_groups(table: pa.Table, rows: int, group_bytes: int) -> Iterator[pa.Table]:
    """Slices of the table that respect both limits."""
    pending = [table.slice(start, rows) for start in range(0, table.num_rows, rows)]
    pending.reverse()
    while pending:
        group = pending.pop()
        if group.num_rows == 1 or group.nbytes <= group_bytes:
            yield group
            continue
        half = group.num_rows // 2
        pending += [group.slice(half), group.slice(0, half)]
