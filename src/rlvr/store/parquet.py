"""Arrow tables as the bytes of Parquet files: zstd, encodings by column, small row groups."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.schema import COLUMNS, TOKENS, Encoding

ROW_GROUP_ROWS = 256
ROW_GROUP_BYTES = 16 << 20
ZSTD_LEVEL = 3


def parquet_bytes(
    table: pa.Table, *, rows: int = ROW_GROUP_ROWS, group_bytes: int = ROW_GROUP_BYTES
) -> bytes:
    """A Parquet file of the table.

    A row group has at most `rows` rows, and no more than `group_bytes` of uncompressed values
    unless a single row is larger: opening one trajectory reads one row group.
    """
    return parquet_of_parts([table], rows=rows, group_bytes=group_bytes)


def parquet_of_parts(
    tables: Iterable[pa.Table], *, rows: int = ROW_GROUP_ROWS, group_bytes: int = ROW_GROUP_BYTES
) -> bytes:
    """A Parquet file of one or several tables of one schema, each of which is let go once written.

    No row group crosses from one table to the next.
    """
    parts = iter(tables)
    first = next(parts)
    # Not a buffer of Python's: every write to one would ask for the GIL.
    buffer = pa.BufferOutputStream()
    with parquet_writer(buffer, first.schema) as writer:
        notes = first.schema.metadata or {}
        writer.add_key_value_metadata({k.decode(): note.decode() for k, note in notes.items()})
        for group in row_groups(first, rows, group_bytes):
            writer.write_table(group, row_group_size=rows)
        del first
        for table in parts:
            for group in row_groups(table, rows, group_bytes):
                writer.write_table(group, row_group_size=rows)
    return buffer.getvalue().to_pybytes()


def parquet_writer(sink: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer with our encodings; the schema's metadata is not written."""
    names = set(schema.names)
    declared = [column for column in COLUMNS + TOKENS if column.name in names]
    dictionary = [column.leaf for column in declared if column.encoding is Encoding.DICTIONARY]
    # Of texts the smallest and largest would be written out in full.
    compared = [column.leaf for column in declared if column.type != pa.string()]
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=dictionary,  # type: ignore[arg-type]  # the stubs know only bool
        use_byte_stream_split=[
            c.leaf for c in declared if c.encoding is Encoding.BYTE_STREAM_SPLIT
        ],
        write_statistics=compared,
        write_page_checksum=True,
        # Arrow's own copy of the schema would take some 6 kB of each file. Ours needs none of it.
        store_schema=False,
    )


def row_groups(table: pa.Table, rows: int, group_bytes: int) -> Iterator[pa.Table]:
    """Slices of the table that respect both limits."""
    whole = 0 < table.num_rows <= rows
    starts = range(0, table.num_rows, rows)
    pending = [table] if whole else [table.slice(start, rows) for start in starts]
    pending.reverse()
    while pending:
        group = pending.pop()
        if group.num_rows == 1 or group.nbytes <= group_bytes:
            yield group
            continue
        half = group.num_rows // 2
        pending += [group.slice(half), group.slice(0, half)]
