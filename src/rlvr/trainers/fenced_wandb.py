"""The Transformers W&B callback behind a fence: W&B may die or hang, training goes on.

`WandbCallback` calls W&B on the training thread without a `try`: when the service is killed, the
next `on_log` raises ConnectionResetError out of `train()`; when it stops reading, it blocks.

    fence = fence_wandb_callback(trainer)    # before train()
    trainer.train()
    print(fence.report())
"""

import copy
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.integrations import WandbCallback

from rlvr.record import SinkReport

__all__ = ["Fence", "FencedWandbCallback", "fence_wandb_callback"]

_EVENTS = tuple(name for name in vars(TrainerCallback) if name.startswith("on_"))

_logger = logging.getLogger(__name__)


class Fence:
    """Runs calls that must never stop training, and counts what became of them.

    A call that raises is counted as failed; each outage of an event logs one traceback.
    `run_within` waits at most `patience_s` for a call and leaves it behind in its thread after
    that; while it is there, further calls are dropped and counted.
    """

    def __init__(self, *, name: str = "wandb callback", patience_s: float = 10.0) -> None:
        self._name = name
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._left_behind: threading.Thread | None = None
        self._out: set[str] = set()
        self._offered = self._written = self._dropped = self._failed = 0
        self._last_error: str | None = None

    def run(self, event: str, call: Callable[[], Any]) -> Any:
        """The result of `call`; None where it failed, or was dropped since W&B hangs."""
        with self._lock:
            self._offered += 1
        if self._is_hanging():
            return None
        return self._attempt(event, call)

    def run_within(self, event: str, call: Callable[[], Any]) -> None:
        """Run `call` in a thread of its own and wait for it no longer than `patience_s`."""
        with self._lock:
            self._offered += 1
        if self._is_hanging():
            return
        thread = threading.Thread(
            target=self._attempt, args=(event, call), name="rlvr-fence", daemon=True
        )
        thread.start()
        thread.join(self._patience_s)
        if thread.is_alive():
            self._left_behind = thread
            self._say_outage(event, f"{event} did not return within {self._patience_s:g} s", None)

    def report(self) -> SinkReport:
        """Counts of calls so far. One that has not returned counts as dropped."""
        with self._lock:
            unfinished = self._offered - self._written - self._dropped - self._failed
            return SinkReport(
                name=self._name,
                offered=self._offered,
                written=self._written,
                dropped=self._dropped + unfinished,
                failed=self._failed,
                last_error=self._last_error,
            )

    def _is_hanging(self) -> bool:
        """Whether an earlier call has not returned; the present one is then dropped."""
        if self._left_behind is None or not self._left_behind.is_alive():
            self._left_behind = None
            return False
        with self._lock:
            self._dropped += 1
        return True

    def _attempt(self, event: str, call: Callable[[], Any]) -> Any:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - the fence: W&B never stops training
            with self._lock:
                self._failed += 1
            self._say_outage(event, f"{event}: {type(error).__name__}: {error}", error)
            return None
        with self._lock:
            self._written += 1
            self._out.discard(event)
        return result

    def _say_outage(self, event: str, text: str, error: Exception | None) -> None:
        with self._lock:
            self._last_error = text
            is_new = event not in self._out
            self._out.add(event)
        if is_new:
            _logger.error(
                "The %s fails (%s); training goes on without it.", self._name, text, exc_info=error
            )


class _Fenced:
    """What every fenced callback is and has."""

    fence: Fence


def _with_fence(kind: type[Any]) -> type[Any]:
    """Put the fence around every event that a base of the class handles."""
    for event in _EVENTS:
        behind = getattr(kind, event)
        if event not in vars(kind) and behind is not getattr(TrainerCallback, event):
            setattr(kind, event, _fenced(event, behind))
    return kind


def _fenced(event: str, behind: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        return self.fence.run(event, partial(behind, self, args, state, control, **kwargs))

    call.__name__ = event
    call.__doc__ = f"`{event}` of the callback, fenced."
    return call


@_with_fence
class FencedWandbCallback(_Fenced, WandbCallback):  # type: ignore[misc]
    """`WandbCallback` that never stops training. `fence.report()` says what was lost.

    `on_log` also survives a service that hangs. The other events run on the training thread, as
    they may touch the model, and are skipped while an `on_log` hangs.
    """

    def __init__(self, *, patience_s: float = 10.0) -> None:
        super().__init__()
        self.fence = Fence(patience_s=patience_s)

    def on_log(
        self, args: Any, state: Any, control: Any, model: Any = None, logs: Any = None, **_: Any
    ) -> None:
        """Log the metrics of a step."""
        if not state.is_world_process_zero:
            return
        if not self._initialized:
            self.fence.run("setup", partial(self.setup, args, state, model))
        # A call that is left behind must not see what the trainer does to these later.
        logged, then = dict(logs or {}), copy.copy(state)
        call = partial(WandbCallback.on_log, self, args, then, control, model=model, logs=logged)
        self.fence.run_within("on_log", call)


def fence_wandb_callback(trainer: Trainer, *, patience_s: float = 10.0) -> Fence | None:
    """Replace the W&B callback of a trainer, in its place, by a fenced one with the same state.

    A callback of a class derived from `WandbCallback` keeps its own behaviour and runs on the
    training thread: its exceptions are fenced, its hangs are not. Returns the fence, None where the
    trainer has no W&B callback; a callback that is fenced already keeps its fence.
    """
    callbacks = trainer.callback_handler.callbacks
    for place, callback in enumerate(callbacks):
        if isinstance(callback, _Fenced):
            present: Fence = callback.fence
            return present
        if isinstance(callback, WandbCallback):
            fence = Fence(patience_s=patience_s)
            callbacks[place] = _behind_fence(callback, fence)
            return fence
    return None


def _behind_fence(callback: Any, fence: Fence) -> Any:
    kind = type(callback)
    fenced_kind: Any = FencedWandbCallback
    if kind is not WandbCallback:
        fenced_kind = _with_fence(type(f"Fenced{kind.__name__}", (_Fenced, kind), {}))
    fenced = fenced_kind.__new__(fenced_kind)
    vars(fenced).update(vars(callback))
    fenced.fence = fence
    return fenced
