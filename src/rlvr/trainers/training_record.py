"""The record of one trainer: its runs are opened, filled and closed here."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr.capture.evidence import Forward, forward_evidence
from rlvr.capture.rollout import BatchCapture
from rlvr.capture.sequences import TokenRow
from rlvr.capture.trajectories import BatchPlace, build_trajectories
from rlvr.record import FORWARD_EVIDENCE, Annotation, MetricRow, Mode, RunInfo, Sink
from rlvr.recorder import Fence, Recorder
from rlvr.store import BatchName
from rlvr.trainers.recording import closing_line, open_recorder, run_of_checkpoint
from rlvr.trainers.vocabulary import token_texts

Rows = Sequence[TokenRow]
Forwards = Sequence[Forward | None]


class TrainingRecord:
    """Where a trainer's batches, evaluations and metrics go.

    `recorder` is None between trainings, and always where nothing is to be recorded. A training
    begins a run of its own or continues that of its checkpoint; an evaluation after a training
    continues the training's run. `token_details_every`: token details are kept of each step that is
    a multiple of it, 0 for none.
    """

    def __init__(
        self, trainer: Any, *, output_dir: Path, enabled: bool, token_details_every: int
    ) -> None:
        self.recorder: Recorder | None = None
        self._trainer = trainer
        self._output_dir = output_dir
        self._enabled = enabled
        self.token_details_every = token_details_every
        self._last_run: str | None = None
        self._fence = Fence("Making records of a batch")
        self._unrecorded = 0

    def open(
        self,
        info: Callable[[str | None], RunInfo],
        *,
        sinks: Sequence[Sink],
        checkpoint: str | None = None,
    ) -> Path | None:
        """Begin or continue a run; its folder, None where nothing is recorded.

        Raises:
            StoreError: the store can't be opened.
        """
        if not self._enabled:
            return None
        run, first_step = run_of_checkpoint(checkpoint)
        self._open(info, sinks=sinks, run=run, first_step=first_step)
        assert self.recorder is not None
        return self.recorder.folder

    def reopen(self, info: Callable[[str | None], RunInfo], *, sinks: Sequence[Sink]) -> None:
        """Continue the last run, at the step where the trainer stands."""
        if self._enabled:
            step = self._trainer.state.global_step
            self._open(info, sinks=sinks, run=self._last_run, first_step=step)

    def _open(
        self,
        info: Callable[[str | None], RunInfo],
        *,
        sinks: Sequence[Sink],
        run: str | None,
        first_step: int,
    ) -> None:
        self.recorder = open_recorder(
            self._output_dir,
            info,
            run=run,
            first_step=first_step,
            accelerator=self._trainer.accelerator,
            sinks=sinks,
        )
        self._last_run = self.recorder.run
        if self.token_details_every and self.recorder.rank == 0:
            self.recorder.keep_vocabulary(token_texts(self._trainer.processing_class))

    def close(self) -> None:
        """Write what waits, and say what was recorded and lost."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return
        report = recorder.close()
        if recorder.rank == 0:
            line = closing_line(report, recorder.folder, unrecorded=self._unrecorded)
            print(line, file=sys.stderr)  # noqa: T201

    def batch(
        self,
        capture: BatchCapture | None,
        mode: Mode,
        *,
        advantages: Sequence[float] | None = None,
        forwards: Sequence[Sequence[Forward | None]] | None = None,
    ) -> None:
        """Record the rollouts of one batch; see `build_trajectories`.

        A batch that can't be turned into records is counted and said, and training goes on.
        """
        if self.recorder is None or capture is None:
            return
        place = BatchPlace(
            run=self.recorder.run,
            mode=mode,
            step=self._trainer.state.global_step,
            batch=self.recorder.next_batch(mode),
            attempt=self.recorder.attempt,
        )
        try:
            trajectories = build_trajectories(
                capture,
                place,
                group_size=1 if mode is Mode.EVAL else self._trainer.num_generations,
                advantages=advantages,
                forwards=forwards,
                keep_tokens=self._keeps_tokens(place.step),
            )
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._unrecorded += len(capture.rollouts)
            self._fence.failed(error, f"{len(capture.rollouts)} rollouts are not recorded.")
            return
        self._fence.worked()
        self.recorder.record_batch(trajectories)

    def forwards(self, rollouts: Mapping[int, tuple[Rows, Forwards]]) -> None:
        """Add to rank 0's records what this process's forward showed of a batch.

        `rollouts` has training sequences and their forwards by the rollout's place in the batch.
        Rank 0 calls `batch` instead: both count batches alike, so that ids agree.
        """
        if self.recorder is None:
            return
        name = BatchName(
            mode=Mode.TRAIN,
            step=self._trainer.state.global_step,
            batch=self.recorder.next_batch(Mode.TRAIN),
            attempt=self.recorder.attempt,
            rank=0,
        )
        try:
            notes = [
                Annotation(
                    id=name.record_id(place),
                    kind=FORWARD_EVIDENCE,
                    source=f"rank {self.recorder.rank}",
                    payload=forward_evidence(rows, forwards),
                )
                for place, (rows, forwards) in rollouts.items()
            ]
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._fence.failed(error, f"Token evidence of {len(rollouts)} rollouts is missing.")
            return
        self._fence.worked()
        self.recorder.annotate([note for note in notes if note.payload])

    def _keeps_tokens(self, step: int) -> bool:
        return self.token_details_every > 0 and step % self.token_details_every == 0

    def metrics(self, logged: Mapping[str, Any]) -> None:
        """Keep the numbers of what the trainer logged."""
        if self.recorder is None or self.recorder.rank != 0:
            return
        numbers = {name: float(value) for name, value in logged.items() if _is_number(value)}
        self.recorder.metrics(
            MetricRow(
                step=self._trainer.state.global_step,
                attempt=self.recorder.attempt,
                mode="eval" if any(name.startswith("eval_") for name in logged) else "train",
                values=numbers,
                logged_at=time.time(),
            )
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
