"""Which columns a question gets, and tables of just these."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from rlvr.codec import columns_to_read, migrated, migrations_of
from rlvr.errors import ConfigurationError
from rlvr.runs.batches import Piece
from rlvr.runs.files import UNREADABLE, Damage
from rlvr.schema import COLUMNS, TOKENS, Kind

_ROWS_AT_ONCE = 1 << 15
"""Four times as many are no faster, and take 50 MB more."""
_BYTES_AT_ONCE = 16 << 20
_TOKEN_NAMES = frozenset(column.name for column in TOKENS)


def without_tokens(present: Sequence[str]) -> list[str]:
    """All but the token columns of a file."""
    return [name for name in present if name not in _TOKEN_NAMES]


def just(wanted: Sequence[str]) -> Callable[[Sequence[str]], list[str]]:
    """Those of the wanted columns that a file has, and what a migration makes others from."""
    return lambda present: columns_to_read(wanted, present)


def wanted_schema(columns: Iterable[str] | None) -> pa.Schema:
    """Schema of the columns named, or of every scalar and derived one.

    Raises:
        ConfigurationError: there is no such column.
    """
    declared = {column.name: column for column in COLUMNS + TOKENS}
    if columns is None:
        columns = [c.name for c in COLUMNS if c.kind in (Kind.SCALAR, Kind.DERIVED)]
    for name in columns:
        if name not in declared:
            close = difflib.get_close_matches(name, declared, 3, 0.3) or declared
            raise ConfigurationError(f"no column {name!r}. Did you mean {', '.join(close)}?")
    return pa.schema([declared[name].field for name in columns])


def present(piece: Piece, schema: pa.Schema, damage: Damage) -> pa.Table:
    """A piece that was read with `just`, shaped, with what migrations make of an older file.

    Where its content does not decode, that is noted, and what would be made is null.
    """
    try:
        return shaped(migrated(piece.table), schema)
    except UNREADABLE as error:
        damage.note(piece.path, error)
        return shaped(piece.table, schema)


def presented(pieces: Iterable[Piece], schema: pa.Schema, damage: Damage) -> Iterator[pa.Table]:
    """`present` of pieces, some ten thousand rows at a time.

    Those alike are put together before: shaping forty columns of a small file takes half as long as
    reading them.
    """
    for together in _gathered(pieces):
        table = pa.concat_tables(piece.table for piece in together)
        path = together[0].path
        together.clear()  # what is read next has room in its place
        yield present(Piece(path=path, table=table), schema, damage)
        del table


def _gathered(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    held: list[Piece] = []
    rows = size = 0
    for piece in pieces:
        full = rows >= _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE
        if held and (full or not _alike(held[-1].table, piece.table)):
            yield held
            held, rows, size = [], 0, 0
        held.append(piece)
        rows += piece.table.num_rows
        size += piece.table.nbytes
    if held:
        yield held


def _alike(one: pa.Table, other: pa.Table) -> bool:
    """Whether they have the same columns, and no migration changes either."""
    return one.schema.equals(other.schema) and not any(
        migrations_of(table.schema.metadata, table.column_names) for table in (one, other)
    )


def shaped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the schema's columns, null where its file has none."""
    arrays = [
        table[field.name]
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
