"""Stores without a disk: a twin for tests and for trying things out, and three that fail."""

import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from rlvr.errors import StoreError, StoreFull


class MemoryStore:
    """Files in a dict. `files` shows them."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def files(self) -> Mapping[str, bytes]:
        """Every file, by name."""
        return MappingProxyType(self._files)

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file."""
        with self._lock:
            self._files[name] = bytes(payload)

    def create(self, name: str, payload: bytes) -> bool:
        """Write a file unless the name is taken."""
        with self._lock:
            if name in self._files:
                return False
            self._files[name] = bytes(payload)
            return True


class FailingStore(MemoryStore):
    """A store that is dead while `dead` says so, and can be slow: for tests of what stands above.

    `before` runs ahead of every write and may sleep, count or raise.
    """

    def __init__(self, before: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self.dead = False
        self._before = before

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file, or raise StoreError while dead."""
        self._check(name)
        super().commit(name, payload)

    def create(self, name: str, payload: bytes) -> bool:
        """Write a file unless the name is taken, or raise StoreError while dead."""
        self._check(name)
        return super().create(name, payload)

    def _check(self, name: str) -> None:
        if self._before is not None:
            self._before(name)
        if self.dead:
            raise StoreError(f"{name} could not be written: this store is dead, as a test asked.")


class FullDiskStore(MemoryStore):
    """A store whose reserve of free space is reached after `room_bytes`: for tests."""

    def __init__(self, room_bytes: int) -> None:
        super().__init__()
        self.room_bytes = room_bytes

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file, or raise StoreFull where it does not fit."""
        self._check(name, payload)
        super().commit(name, payload)

    def create(self, name: str, payload: bytes) -> bool:
        """Write a file unless the name is taken, or raise StoreFull where it does not fit."""
        self._check(name, payload)
        return super().create(name, payload)

    def _check(self, name: str, payload: bytes) -> None:
        held = sum(len(file) for other, file in self.files.items() if other != name)
        if held + len(payload) > self.room_bytes:
            raise StoreFull(f"{name} does not fit: this store is full, as a test asked.")


class SlowStore(MemoryStore):
    """A store whose every write takes `delay_s` seconds: for tests of a slow disk."""

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self.delay_s = delay_s

    def commit(self, name: str, payload: bytes) -> None:
        """Write a file, slowly."""
        time.sleep(self.delay_s)
        super().commit(name, payload)
