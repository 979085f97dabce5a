"""A local store that keeps a run's folder below a size."""

import os
import threading
from pathlib import Path

from rlvr.errors import DamagedFile, StoreFull
from rlvr.record import Part
from rlvr.store.layout import RANKS_FOLDER, TRAJECTORIES_FOLDER, BatchName
from rlvr.store.local import LocalStore
from rlvr.store.pruning import (
    batch_names,
    batch_size,
    limit_order,
    prune_batch,
    prune_token_annotations,
)
from rlvr.utils.sizes import size_text

_PRUNE_FROM = 0.9
_TRAJECTORIES_UP_TO = 0.95
_LOOK_EVERY = 64
_FREE_PER_WRITTEN = 2


class LimitedStore:
    """A `LocalStore` whose folder stays below `max_bytes`.

    From nine tenths of the limit on, each trajectory file that is written makes room for itself:
    at most twice its own size is taken out of older files, in `limit_order`. So no write has to
    wait for more than a few files, and a run far below its limit pays nothing. What can't be made
    to fit is refused with StoreFull. The last twentieth of the limit is left to metrics,
    annotations and counts.
    """

    def __init__(self, store: LocalStore, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._store = store
        # A smaller file in the place of a larger one frees space: no reserve stands in its way.
        self._rewriting = LocalStore(store.folder, reserve_bytes=0)
        self._held = folder_bytes(store.folder)
        self._commits = 0
        self._done: set[tuple[BatchName, Part]] = set()
        self._lock = threading.Lock()

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file so that a reader sees the old one or the new one, whole; durable after.

        Raises:
            StoreFull: the limit leaves no room, or free space would fall below the reserve.
            StoreError: the disk refused.
        """
        with self._lock:
            grows = len(payload) - _size_of(self._store.folder / name)
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

    def _admit(self, name: str, grows: int) -> None:
        if name.startswith(RANKS_FOLDER):  # some hundred bytes that say what was lost
            return
        self._commits += 1
        share = 1.0
        if name.startswith(TRAJECTORIES_FOLDER):
            share = _TRAJECTORIES_UP_TO
            if self._commits % _LOOK_EVERY == 0 or not self._fits(grows, _PRUNE_FROM):
                self._held = folder_bytes(self._store.folder)  # others write to it too
            self._make_room(grows)
        if not self._fits(grows, share):
            self._held = folder_bytes(self._store.folder)
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
        folder = self._store.folder
        goal = max(self._held - _FREE_PER_WRITTEN * grows, 0)
        without_tokens = set()
        for name, part in limit_order(batch_names(folder)):
            freed = self._held <= goal and self._fits(grows, _TRAJECTORIES_UP_TO)
            if freed or self._fits(grows, _PRUNE_FROM):
                break
            if (name, part) in self._done:
                continue
            self._held -= self._prune(name, part)
            self._done.add((name, part))
            if part is Part.TOKENS:
                without_tokens.add(name.stem)
        if without_tokens:
            self._held -= prune_token_annotations(self._rewriting, folder, without_tokens)

    def _prune(self, name: BatchName, part: Part) -> int:
        size = batch_size(self._store.folder, name)
        if size is None or not size.bytes_of(part):
            return 0
        try:
            return prune_batch(self._rewriting, size, {part}, limit_bytes=self.max_bytes)
        except DamagedFile:  # an old file that can't be read must not cost the new ones
            return 0


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; 0 where there is none."""
    return sum(_size_of(Path(root) / file) for root, _, files in os.walk(folder) for file in files)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
