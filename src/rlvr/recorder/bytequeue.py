"""A queue that is bounded by the bytes of what it holds."""

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class ByteQueue(Generic[T]):
    """First in, first out, for one consumer. What the consumer has taken counts until `done`."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._entries: deque[tuple[T, int]] = deque()
        self._held_bytes = 0
        self._ended = False
        self._changed = threading.Condition()

    @property
    def held_bytes(self) -> int:
        """Bytes of everything waiting or being consumed."""
        return self._held_bytes

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._entries

    def put(self, entry: T, size: int, wait_s: float) -> bool:
        """Add an entry, waiting for room up to `wait_s`; False where there was none.

        An entry larger than the whole queue is taken when the queue holds nothing else.
        """
        deadline = time.monotonic() + wait_s
        with self._changed:
            while not self._ended and not self._has_room(size):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                self._changed.wait(remaining)
            if self._ended:
                return False
            self._entries.append((entry, size))
            self._held_bytes += size
            self._changed.notify_all()
            return True

    def _has_room(self, size: int) -> bool:
        return not self._held_bytes or self._held_bytes + size <= self.capacity_bytes

    def get(self, timeout_s: float) -> tuple[T, int] | None:
        """Take the oldest entry and its size; None after `timeout_s` or a `wake`."""
        with self._changed:
            if not self._entries:
                self._changed.wait(timeout_s)
            return self._entries.popleft() if self._entries else None

    def done(self, size: int) -> None:
        """Give back the room of an entry that was taken."""
        with self._changed:
            self._held_bytes -= size
            self._changed.notify_all()

    def wake(self) -> None:
        """Let a waiting consumer look around."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> list[T]:
        """Take everything that waits, at once, and refuse what comes after."""
        with self._changed:
            self._ended = True
            entries = [entry for entry, _ in self._entries]
            self._held_bytes -= sum(size for _, size in self._entries)
            self._entries.clear()
            self._changed.notify_all()
            return entries
