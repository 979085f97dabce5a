"""One pass of compaction: choose, write. `sweep` removes what is needless afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path

from rlvr.errors import DamagedFile
from rlvr.store.base import Shelf
from rlvr.store.compact import (
    Compaction,
    Limits,
    finished,
    plan,
    read_source,
    write_compacted,
)
from rlvr.store.sweep import layers_of


def plan_compactions(folder: Path, limits: Limits, live: int | None) -> list[Compaction]:
    """What of a run can be compacted now; touches nothing. `live` is the attempt that still writes.

    Raises:
        NewerFormat: a newer rlvr wrote one of the files.
    """
    names = finished(layers_of(folder), live)
    if len(names) < limits.at_least:
        return []
    sources = [read_source(folder, name) for name in names]
    return plan([source for source in sources if source is not None], limits)


def compact(
    shelf: Shelf,
    *,
    limits: Limits,
    live: int | None,
    full_only: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Compaction]:
    """Write one file after another, each given once it is there, until `stop` says so.

    full_only: leave files that would not be full for later. A file whose sources somebody else has
    taken meanwhile is left out.

    Raises:
        NewerFormat: a newer rlvr wrote one of the files.
        StoreError: the store can't be written; the small files stay.
    """
    for one in plan_compactions(shelf.folder, limits, live):
        if stop():
            return
        if one.full or not full_only:
            try:
                write_compacted(shelf, one)
            except DamagedFile:  # gone, or torn since it was looked at: it stays as it is
                continue
            yield one
