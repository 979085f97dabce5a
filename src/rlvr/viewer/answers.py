"""Answers that take a while: computed beside the pages, once for each state of a run, and kept."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rlvr.viewer.aside import AnswerLost
from rlvr.viewer.memory import give_back

Value = TypeVar("Value")

PATIENCE_S = 1.5
"""So long a page waits for an answer before it says that it is awaited: from when it was first
asked for, so that a page does not wait once more for what takes long."""

_MOST = 200
"""Answers that are kept; those asked for longest ago go first."""

_RESTS = 3
"""An answer that took a second is made anew after three others at the earliest, so that following a
large run takes a part of the machine only."""

_LONGEST_REST_S = 300.0
_FOREVER_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[Value]):
    """What is known by now. `value` is None until the first answer is there.

    `current`: it is of the run as it is now; an older one is shown meanwhile.
    """

    value: Value | None
    current: bool


@dataclass(slots=True)
class _Kept:
    version: str = ""
    value: Any = None
    error: Exception | None = None
    asked: str = ""
    began: float = 0.0
    rest_s: float = 0.0
    ended: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)


class Answers:
    """Answers by name, each of the newest state of its run for which it was asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._count = 0

    @property
    def count(self) -> int:
        """How many answers have come so far: a page that shows one changes with it."""
        with self._lock:
            return self._count

    def patiently(self) -> "Answers":
        """The same answers for someone who waits for each as long as it takes."""
        return _Patient(self)

    def of(
        self,
        name: str,
        version: str,
        compute: Callable[[], Value],
        *,
        patience_s: float = PATIENCE_S,
    ) -> Answer[Value]:
        """The answer of that name for that state; one question of a name is worked on at a time.

        What was lost is worked on once more for the next who asks.

        Raises:
            Exception: what the question raised.
        """
        with self._lock:
            kept = self._of_name(name)
            if kept.version != version and not kept.asked:
                kept.asked, kept.done = version, threading.Event()
                kept.began = time.monotonic()
                work = threading.Thread(
                    target=self._work, args=(kept, compute), name=f"rlvr-{name}", daemon=True
                )
                work.start()
            waits = kept.version != version
        if waits:
            kept.done.wait(max(kept.began + patience_s - time.monotonic(), 0.0))
        with self._lock:
            if kept.error is not None:
                error = kept.error
                if isinstance(error, AnswerLost):
                    kept.version, kept.error = "", None
                raise error
            return Answer(value=kept.value, current=kept.version == version)

    def _of_name(self, name: str) -> _Kept:
        kept = self._kept.setdefault(name, _Kept())
        self._kept.move_to_end(name)
        if len(self._kept) > _MOST:
            idle = [old for old, other in self._kept.items() if not other.asked and old != name]
            for old in idle[:1]:
                del self._kept[old]
        return kept

    def _work(self, kept: _Kept, compute: Callable[[], Any]) -> None:
        value, error = None, None
        time.sleep(max(kept.ended + kept.rest_s - time.monotonic(), 0.0))
        began = time.monotonic()
        try:
            value = compute()
        except Exception as raised:  # noqa: BLE001 - raised again where it is asked
            error = raised
        finally:
            with self._lock:
                kept.version, kept.asked = kept.asked, ""
                kept.ended = time.monotonic()
                kept.rest_s = min(_RESTS * (kept.ended - began), _LONGEST_REST_S)
                self._count += 1
                kept.error = error
                if value is not None:
                    kept.value = value
                kept.done.set()
            give_back()


class _Patient(Answers):
    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def of(
        self,
        name: str,
        version: str,
        compute: Callable[[], Value],
        *,
        patience_s: float = PATIENCE_S,
    ) -> Answer[Value]:
        return self._answers.of(name, version, compute, patience_s=max(patience_s, _FOREVER_S))
