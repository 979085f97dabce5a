"""What an older rlvr wrote, brought to the present form while it is read.

MIGRATIONS is ordered, and each has a name. A file is migrated by what it says of itself, in memory:
files of one run may differ, since rlvr can be upgraded between two attempts. Nothing on disk is
changed. A field or column that was added later and can't be known of older files needs no
migration: it is None there. `derived_version` stays what the file was written with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rlvr.codec.derived import derived_columns
from rlvr.codec.trajectories import from_table
from rlvr.codec.versions import derived_version
from rlvr.schema import CONTENT, DERIVED, TOKENS

_TOKEN_NAMES = frozenset(column.name for column in TOKENS)
_CONTENT_NAMES = frozenset(column.name for column in CONTENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A step from an older version of the derived columns to the next.

    since: the version that it leads to. columns: those that it makes. change: the rows of a table
    that holds all columns of its file but token details, with these columns as they are now.
    """

    name: str
    since: int
    columns: tuple[str, ...]
    change: Callable[[pa.Table, Sequence[str]], pa.Table]


def _derived_anew(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The table with these derived columns computed from its content."""
    types = {column.name: column.type for column in DERIVED}
    rows = [derived_columns(row) for row in from_table(table, _no_blob)]
    for name in columns:
        cells = pa.array([row[name] for row in rows], type=types[name])
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, cells)
        else:
            table = table.append_column(name, cells)
    return table


MIGRATIONS = (
    Migration(
        name="derived-2-failures-and-references",
        since=2,
        columns=(
            "derived_num_malformed_calls",
            "derived_num_scorer_failures",
            "derived_num_cut_turns",
            "derived_policy_version",
            "derived_reference_in_answer",
            "derived_prompt_hash",
        ),
        change=_derived_anew,
    ),
)


def migrations_of(metadata: Mapping[bytes, bytes] | None, names: Sequence[str]) -> list[Migration]:
    """What applies to a file with this metadata and these columns, in order.

    None does to a file whose messages were pruned: what would be derived from them stays None.
    """
    if not _CONTENT_NAMES.issubset(names):
        return []
    version = derived_version(metadata)
    return [migration for migration in MIGRATIONS if version < migration.since]


def columns_to_read(wanted: Sequence[str], present: Sequence[str]) -> list[str]:
    """Those of the wanted columns that a file has; where a migration would make others, all that
    it needs."""
    made = {name for migration in MIGRATIONS for name in migration.columns}
    if made.isdisjoint(set(wanted) - set(present)):
        return [name for name in wanted if name in set(present)]
    return [name for name in present if name not in _TOKEN_NAMES or name in set(wanted)]


def migrated(table: pa.Table) -> pa.Table:
    """A table that was read as `columns_to_read` says, with what its migrations make.

    Raises:
        UndecodableText: a text of it does not decode.
    """
    metadata = table.schema.metadata
    for migration in migrations_of(metadata, table.column_names):
        table = migration.change(table, migration.columns)
    return table


def _no_blob(_: str) -> bytes:
    """No derived column looks into a blob."""
    return b""
