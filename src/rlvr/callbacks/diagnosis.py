"""Diagnoses a run while it trains, and stops one that learns nothing, if asked."""

import sys
import threading
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlvr.callbacks.findings_log import log_to_wandb
from rlvr.diagnosis import Fate, Severity, Verdict, diagnose, load_evidence
from rlvr.diagnosis.thresholds import RECENT_STEPS, UNAFFECTED
from rlvr.errors import ConfigurationError
from rlvr.recorder import Fence
from rlvr.runs import open_run
from rlvr.trainers.fenced_wandb import Fence as WandbFence

__all__ = ["DiagnosisCallback"]

_PATIENCE_S = 10.0


class DiagnosisCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    """Diagnoses the last steps of a recorded run every `every` steps, beside the training.

    trainer = EnhancedGRPOTrainer(..., callbacks=[DiagnosisCallback(every=50)])

    A thread of rank 0 reads what the trainer has written to `folder` (`args.output_dir` if None) of
    the last `window` steps; training goes on meanwhile, and a diagnosis that is not done when the
    next is due makes that one fall out. One line on stderr says when the worst severity or the set
    of errors changes. Where a W&B run is active it gets `rlvr/sound_share`, `rlvr/lost_share`,
    `rlvr/corrupted_share`, `rlvr/unverified_share`, `rlvr/findings_error` and so on, and the table
    `rlvr/findings`. Whatever fails here is logged once, and training goes on.

    With `stop_without_signal=K` training ends once K diagnoses in a row found (nearly) no rollout
    that reached the gradient sound. What a diagnosis found is acted on when the next one is due:
    by all ranks at the same step, K + 1 times `every` at the earliest. The checkpoint and the
    record are those of any other end.

    Raises:
        ConfigurationError: `every`, `window` or `stop_without_signal` can't be meant.
    """

    def __init__(
        self,
        *,
        every: int = 50,
        window: int | None = None,
        folder: str | Path | None = None,
        stop_without_signal: int = 0,
    ) -> None:
        if every < 1 or stop_without_signal < 0 or (window is not None and window < 1):
            raise ConfigurationError(
                f"every={every}, window={window}, stop_without_signal={stop_without_signal}: use 1"
                " or more steps, and 0 to never stop"
            )
        self._every = every
        self._window = max(every, RECENT_STEPS) if window is None else window
        self._folder = folder
        self._stop_after = stop_without_signal
        self._fence = Fence("The diagnosis")
        self._wandb_fence = WandbFence(name="W&B log of the diagnosis", patience_s=_PATIENCE_S)
        self._forget()

    def _forget(self) -> None:
        self._running: threading.Thread | None = None
        self._told: tuple[Severity | None, frozenset[str]] = (None, frozenset())
        self._without_signal = 0
        self._verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The newest verdict; None before the first, and on other ranks than 0."""
        return self._verdict

    def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Begin anew: what an earlier training with this callback was told does not count."""
        self._forget()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Act on the last diagnosis and begin the next, where one is due."""
        if state.global_step % self._every:
            return
        if self._stop_after and self._stops_together(args, state):
            control.should_training_stop = True
        elif state.is_world_process_zero and not self._is_busy():
            self._begin(state.global_step, str(self._folder or args.output_dir))

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Let a diagnosis that has begun finish, for ten seconds at most."""
        self._wait()

    def _is_busy(self) -> bool:
        return self._running is not None and self._running.is_alive()

    def _wait(self) -> None:
        if self._running is not None:
            self._running.join(_PATIENCE_S)

    def _begin(self, step: int, folder: str) -> None:
        self._running = threading.Thread(
            target=self._diagnose_fenced, args=(step, folder), name="rlvr-diagnosis", daemon=True
        )
        self._running.start()

    def _diagnose_fenced(self, step: int, folder: str) -> None:
        try:
            self._diagnose(step, folder)
        except Exception as error:  # noqa: BLE001  # the fence: a diagnosis never stops training
            self._fence.failed(error, f"Nothing is diagnosed at step {step}.")
        else:
            self._fence.worked()

    def _diagnose(self, step: int, folder: str) -> None:
        verdict = diagnose(load_evidence(open_run(folder), since=step - self._window))
        if not verdict.rollouts:
            return
        self._verdict = verdict
        self._without_signal = self._without_signal + 1 if _gives_nothing(verdict) else 0
        self._tell(verdict, step, folder)
        self._wandb_fence.run_within("log", lambda: log_to_wandb(verdict, step=step, folder=folder))

    def _tell(self, verdict: Verdict, step: int, folder: str) -> None:
        errors = frozenset(f.code for f in verdict.findings if f.severity is Severity.ERROR)
        now = (verdict.worst, errors)
        if now == self._told:
            return
        self._told = now
        first = next(iter(verdict.findings), None)
        said = (
            "nothing is wrong any more" if first is None else f"{first.severity}: {first.sentence}"
        )
        more = len(verdict.findings) - 1
        others = f" ({more} more)" if more > 0 else ""
        _say(f"diagnosis at step {step}: {said}{others} -> rlvr diagnose {folder}")

    def _stops_together(self, args: Any, state: Any) -> bool:
        """Whether rank 0 says stop; on every rank. Waits for a diagnosis that is under way."""
        held = [False]
        if state.is_world_process_zero:
            self._wait()
            held = [self._without_signal >= self._stop_after]
        if args.world_size > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(held, from_process=0)
        if held[0] and state.is_world_process_zero and self._verdict is not None:
            _say(_why_stopped(self._verdict, state.global_step, self._without_signal))
        return held[0]


def _gives_nothing(verdict: Verdict) -> bool:
    """Whether (nearly) none of the rollouts that the record can judge reached the gradient sound.

    Rollouts whose process has not handed in yet what it saw of their tokens are not counted.
    """
    judged = verdict.rollouts - verdict.ledger.count(Fate.UNVERIFIED)
    return judged > 0 and verdict.ledger.count(Fate.SOUND) <= UNAFFECTED * judged


def _why_stopped(verdict: Verdict, step: int, count: int) -> str:
    ledger = verdict.ledger
    line = max(
        (line for line in ledger.lines if line.reason.fate in (Fate.LOST, Fate.CORRUPTED)),
        key=lambda line: line.rollouts,
        default=None,
    )
    why = f" Most: {line.rollouts:,} of {ledger.total:,}: {line.reason.meaning}." if line else ""
    first = next(iter(verdict.findings), None)
    finding = f" {first.severity} {first.code}: {first.sentence}" if first is not None else ""
    return (
        f"training stops at step {step}: {count} diagnoses in a row found that"
        f" {ledger.count(Fate.SOUND):,} of {ledger.total:,} rollouts reached the gradient"
        f" sound.{why}{finding}"
    )


def _say(line: str) -> None:
    print(f"rlvr: {line}", file=sys.stderr, flush=True)  # noqa: T201  # beside the trainer's bars
