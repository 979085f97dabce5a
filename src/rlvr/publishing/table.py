"""The Delta table that runs are published to: one for many runs, partitioned by run."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from rlvr.errors import ConfigurationError, DamagedFile
from rlvr.publishing.reaching import (
    Overtaken,
    check_kind,
    client_options,
    delta_library,
    explained,
)
from rlvr.remote import RemoteFolder, local_path
from rlvr.schema import COLUMNS
from rlvr.store import BatchName

COLUMN_NAMES = tuple(column.name for column in COLUMNS)
"""The columns of the table: all that a trajectory has but its token details."""

_SCHEMA = pa.schema([column.field for column in COLUMNS])
_NEEDED = ("id", "run", "step", "attempt")
_PARTITION = "run"
_LOG = "_delta_log"
_PROBE = "_rlvr_probe"  # readers of Delta tables pass over names with a leading underscore


class PublishedTable:
    """A Delta table at a URL or path, opened; `exists` says whether it is there already.

    What changes it is one transaction, and refers to the state that was read last: where another
    process changed the run's rows since, Overtaken is raised and nothing is changed. `overtaken`
    says that others changed it beside the last transaction, so that it must be looked at anew.
    """

    def __init__(self, url: str) -> None:
        """Look at the place.

        Raises:
            ConfigurationError: no such place can be opened, it holds something else, or a table
                that rlvr did not make.
            MissingDependency: a package is not installed.
            RemoteUnavailable: it can't be reached, or refuses.
        """
        self._delta = delta_library()
        local = local_path(url)
        self.place = RemoteFolder(url if local is None else f"file://{local.absolute()}")
        check_kind(self.place)
        self.shown = self.place.shown if local is None else str(local)
        self._uri = self.place.url if local is None else str(local.absolute())
        self._options = client_options(self.place)
        entries = self.place.entries()
        self.exists = _LOG in entries
        if entries - {_PROBE} and not self.exists:
            raise ConfigurationError(
                f"{self.shown} holds other things and no Delta table. Name the place of a table, or"
                " one where there is nothing yet."
            )
        self.overtaken = False
        self._table: Any = None
        if self.exists:
            self.look()
            self._check_columns()

    def look(self) -> None:
        """Read the newest state of the table.

        Raises:
            RemoteUnavailable: it can't be read.
        """
        with explained(self.place):
            self._table = self._delta.DeltaTable(self._uri, storage_options=self._options)
        self.overtaken = False

    @property
    def version(self) -> int | None:
        """The version that was read or written last; None where there is no table."""
        return None if self._table is None else int(self._table.version())

    def published(self, run: str) -> frozenset[BatchName]:
        """The batches of a run that are in it.

        Raises:
            DamagedFile: it has ids that rlvr never gave.
            RemoteUnavailable: it can't be read.
        """
        if self._table is None:
            return frozenset()
        query = (
            "select distinct regexp_replace(id, '-[0-9]+$', '') as stem from published"
            f" where run = {_quoted(run)}"
        )
        with explained(self.place):
            builder = self._delta.QueryBuilder().register("published", self._table)
            found = pa.RecordBatchReader.from_stream(builder.execute(query)).read_all()
        stems: list[Any] = found["stem"].to_pylist()
        names = [BatchName.parse(stem or "") for stem in stems]
        if None in names:
            raise DamagedFile(
                f"{self.shown} has rows of run {run} whose id rlvr did not give. Delete them, or"
                " publish to another place."
            )
        return frozenset(name for name in names if name is not None)

    def create(self) -> None:
        """Make the table where there is none.

        Raises:
            RemoteUnavailable: it can't be written.
        """
        self.place.write(_PROBE, b"")  # Delta's client panics where it may not write
        self.place.remove(_PROBE)
        if self._table is not None:
            return
        try:
            with explained(self.place):
                self._table = self._delta.DeltaTable.create(
                    self._uri,
                    schema=_SCHEMA,
                    mode="ignore",
                    partition_by=[_PARTITION],
                    name="rlvr trajectories",
                    description="Rollouts of GRPO trainings, published by rlvr. An id is unique"
                    " within its run.",
                    storage_options=self._options,
                )
        except Overtaken:  # somebody else has just made it
            self.look()
        self.exists = True

    def append(self, run: str, tables: Iterable[pa.Table]) -> None:
        """Add rows of a run, in one transaction and in the memory of a table or two.

        Raises:
            Overtaken: as the class says.
            RemoteUnavailable: it can't be written; it is as it was.
        """
        raised: list[BaseException] = []

        def batches() -> Iterable[pa.RecordBatch]:
            try:
                for table in tables:
                    yield from _named(table, run).to_batches()
            except BaseException as error:
                raised.append(error)  # Delta's client would only keep its text
                raise

        version = self.version
        reader = pa.RecordBatchReader.from_batches(_SCHEMA, batches())
        try:
            with explained(self.place):
                self._delta.write_deltalake(
                    self._table,
                    reader,
                    mode="append",
                    schema_mode="merge",
                    writer_properties=self._delta.WriterProperties(compression="ZSTD"),
                    commit_properties=self._commit(run),
                )
        except Exception:
            for error in raised:
                raise error from None
            raise
        self._follow(version)

    def remove(self, run: str, outdated: Mapping[int, int]) -> int:
        """Remove what attempts of a run have from a step on: {attempt: step}. The rows removed.

        Raises:
            Overtaken: as the class says.
            RemoteUnavailable: it can't be written; it is as it was.
        """
        places = " or ".join(
            f"(attempt = {attempt} and step >= {step})" for attempt, step in outdated.items()
        )
        version = self.version
        with explained(self.place):
            done = self._table.delete(
                f"run = {_quoted(run)} and ({places})", commit_properties=self._commit(run)
            )
        self._follow(version)
        return int(done["num_deleted_rows"])

    def _commit(self, run: str) -> Any:
        """Of two commits with the same number of one run, the second is refused."""
        app = f"rlvr/{run}"
        number = self._table.transaction_version(app)
        transaction = self._delta.Transaction(app, 0 if number is None else number + 1)
        return self._delta.CommitProperties(app_transactions=[transaction])

    def _follow(self, before: int | None) -> None:
        """The client reads on after its commit: what others wrote meanwhile is in it then."""
        self.overtaken = self.version != (before or 0) + 1

    def _check_columns(self) -> None:
        """See that rlvr's rows can be added.

        Raises:
            ConfigurationError: they can't.
        """
        found = pa.schema(self._table.schema().to_arrow())
        types = {field.name: field.type for field in found}
        lacks = [name for name in _NEEDED if name not in types]
        other = [
            field.name
            for field in _SCHEMA
            if field.name in types and _plain(types[field.name]) != _plain(field.type)
        ]
        partitions = self._table.metadata().partition_columns
        if lacks or other or partitions != [_PARTITION]:
            named = ", ".join(lacks + other) or f"partitions {partitions}"
            raise ConfigurationError(
                f"{self.shown} is a Delta table that rlvr did not make ({named}). Name another"
                " place."
            )


def _named(table: pa.Table, run: str) -> pa.Table:
    """The rows under the run's id, whatever the folder was called when they were written."""
    at = table.schema.get_field_index(_PARTITION)
    names = pa.array([run] * table.num_rows, type=pa.string())
    return table.set_column(at, _SCHEMA.field(_PARTITION), names).cast(_SCHEMA)


def _plain(kind: pa.DataType) -> str:
    """A type, whatever Delta calls its inner fields."""
    return str(kind).replace("element:", "item:").replace(" ('key_value')", "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
