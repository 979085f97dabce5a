"""A local store that keeps a run's folder below a size."""

import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rlvr.errors import DamagedFile, StoreFull
from rlvr.record import Part
from rlvr.store.layers import Footers, Place
from rlvr.store.layout import RANKS_FOLDER, TRAJECTORIES_FOLDER, BatchName
from rlvr.store.local import LocalStore
from rlvr.store.opened import OpenFiles
from rlvr.store.pruning import (
    limit_order,
    prune_batches,
    prune_token_annotations,
    size_of,
)
from rlvr.store.sweep import layers_of
from rlvr.utils.sizes import size_text

_PRUNE_FROM = 0.9
_TRAJECTORIES_UP_TO = 0.95
_LOOK_EVERY = 64
_FREE_PER_WRITTEN = 2
_DOUBLED_SHARE = 0.04
_COMPACTED_SHARE = 0.02
_STRETCH = 32
"""Of a compacted file, which is written anew as a whole, so many batches at most go at once."""

_Entry = tuple[BatchName, Part]


class LimitedStore:
    """A `LocalStore` whose folder stays below `max_bytes`.

    From nine tenths of the limit on, each trajectory file that is written makes room for itself:
    at most twice its own size is taken out of older files, in `limit_order`. So no write has to
    wait for more than a few files, and a run far below its limit pays nothing. What can't be made
    to fit is refused with StoreFull. The last twentieth of the limit is left to metrics,
    annotations and counts, and to what is there twice while files are compacted.
    """

    def __init__(self, store: LocalStore, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._store = store
        # A smaller file in the place of a larger one frees space: no reserve stands in its way.
        self._rewriting = LocalStore(store.folder, reserve_bytes=0)
        self._held = folder_bytes(store.folder)
        self._commits = 0
        self._doubled = 0
        self._done: set[_Entry] = set()
        self._footers = Footers()
        self._lock = threading.Lock()

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file so that a reader sees the old one or the new one, whole; durable after.

        Raises:
            StoreFull: the limit leaves no room, or free space would fall below the reserve.
            StoreError: the disk refused.
        """
        with self._lock:
            grows = len(payload) - _size_of(self.folder / name)
            self._admit(name, grows)
            self._store.commit(name, payload)
            self._held += grows

    def create(self, name: str, payload: bytes) -> bool:
        """Claim a name for good and write the file; False where somebody else holds the name.

        Raises:
            StoreFull: free space would fall below the reserve.
            StoreError: the disk refused.
        """
        with self._lock:
            created = self._store.create(name, payload)
            self._held += len(payload) if created else 0
            return created

    @property
    def compacted_bytes(self) -> int:
        """The largest compacted file that is worth writing: two of them fit twice."""
        return int(_COMPACTED_SHARE * self.max_bytes)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._store.folder

    def commit_stream(self, name: str, write: Callable[[Path], None], size: int) -> None:
        """Commit a file that `write` makes, of about `size` bytes, in the place of others.

        Until those are removed what is there twice is not counted, so that nothing is pruned for
        it.

        Raises:
            StoreFull: it is too large for that, or free space would fall below the reserve.
            StoreError: the disk refused.
        """
        with self._lock:
            if self._doubled + size > _DOUBLED_SHARE * self.max_bytes:
                raise StoreFull(
                    f"{name} would not fit beside the files that it holds, below the limit of"
                    f" {size_text(self.max_bytes)}."
                )
            self._doubled += size
        written = 0
        try:
            self._store.commit_stream(name, write, size)
            written = _size_of(self.folder / name)
        finally:
            with self._lock:
                self._doubled += written - size
                self._done.clear()  # what was pruned meanwhile may be in it

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error.

        Raises:
            StoreError: the disk refused.
        """
        with self._lock:
            size = _size_of(self.folder / name)
            self._store.remove(name)
            twice = min(size, self._doubled)
            self._doubled -= twice
            self._held -= size - twice

    def _recount(self) -> None:
        """Others write to the folder too."""
        self._held = folder_bytes(self.folder) - self._doubled

    def _admit(self, name: str, grows: int) -> None:
        if name.startswith(RANKS_FOLDER):  # some hundred bytes that say what was lost
            return
        self._commits += 1
        share = 1.0
        if name.startswith(TRAJECTORIES_FOLDER):
            share = _TRAJECTORIES_UP_TO
            if self._commits % _LOOK_EVERY == 0 or not self._fits(grows, _PRUNE_FROM):
                self._recount()
            self._make_room(grows)
        if not self._fits(grows, share):
            self._recount()
        if not self._fits(grows, share):
            raise StoreFull(
                f"the run in {self._store.folder} takes {size_text(self._held)} of its limit of"
                f" {size_text(self.max_bytes)}, and all but its newest step is pruned to"
                " scalars already. Raise the limit (record_max_gb, max_bytes), or keep"
                " token details of fewer steps (token_details_every)."
            )

    def _fits(self, grows: int, share: float) -> bool:
        return self._held + grows <= share * self.max_bytes

    def _make_room(self, grows: int) -> None:
        """Prune until the pressure is gone, or twice of what is coming was freed and it fits."""
        if self._fits(grows, _PRUNE_FROM):
            return
        goal = max(self._held - _FREE_PER_WRITTEN * grows, 0)
        places = layers_of(self.folder, footers=self._footers).places(self.folder)
        order = [entry for entry in limit_order(list(places)) if entry not in self._done]
        without_tokens: set[str] = set()
        at = 0
        with OpenFiles() as files:
            while at < len(order):
                freed = self._held <= goal and self._fits(grows, _TRAJECTORIES_UP_TO)
                if freed or self._fits(grows, _PRUNE_FROM):
                    break
                stretch = _stretch(order[at : at + _STRETCH], places)
                at += len(stretch)
                self._held -= self._prune(files, stretch, places)
                self._done.update(stretch)
                without_tokens.update(name.stem for name, part in stretch if part is Part.TOKENS)
        if without_tokens:
            self._held -= prune_token_annotations(self._rewriting, self.folder, without_tokens)

    def _prune(
        self,
        files: OpenFiles,
        stretch: Sequence[_Entry],
        places: Mapping[BatchName, Sequence[Place]],
    ) -> int:
        found = [(size_of(files, name, places[name][0]), part) for name, part in stretch]
        chosen = [(size, {part}) for size, part in found if size and size.bytes_of(part)]
        if not chosen:
            return 0
        try:
            return prune_batches(self._rewriting, chosen, limit_bytes=self.max_bytes)
        except DamagedFile:  # an old file that can't be read must not cost the new ones
            return 0


def _stretch(
    order: Sequence[_Entry], places: Mapping[BatchName, Sequence[Place]]
) -> Sequence[_Entry]:
    """The first of what goes, with what follows of the same compacted file."""
    name, part = order[0]
    path = places[name][0].path
    alike = itertools.takewhile(
        lambda entry: entry[1] is part and places[entry[0]][0].path == path, order
    )
    return list(alike)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; 0 where there is none."""
    return sum(_size_of(Path(root) / file) for root, _, files in os.walk(folder) for file in files)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
