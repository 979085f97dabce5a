"""The record of one trainer: its runs are opened, filled and closed here."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rlvr.capture.evidence import Forward, forward_evidence, forward_tokens
from rlvr.capture.rollout import BatchCapture
from rlvr.capture.sequences import TokenRow
from rlvr.capture.trajectories import BatchPlace, build_trajectories
from rlvr.record import (
    FORWARD_EVIDENCE,
    FORWARD_TOKENS,
    Annotation,
    Json,
    MetricRow,
    Mode,
    RunInfo,
    Sink,
)
from rlvr.recorder import Fence, Recorder
from rlvr.store import BatchName
from rlvr.trainers.checkpoints import Checkpoint
from rlvr.trainers.recording import closing_line, open_recorder, run_to_continue
from rlvr.trainers.updates import Rollouts, TrainedRow, UpdateLog, trained_rows
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
        self,
        trainer: Any,
        *,
        output_dir: Path,
        enabled: bool,
        token_details_every: int,
        max_gb: float | None = None,
        compact: bool = True,
        mirror: str | None = None,
    ) -> None:
        self.recorder: Recorder | None = None
        self._trainer = trainer
        self._output_dir = output_dir
        self._enabled = enabled
        self.token_details_every = token_details_every
        self._max_bytes = None if max_gb is None else int(max_gb * 1e9)
        self._compact = compact
        self._mirror = mirror
        self._last_run: str | None = None
        self._fence = Fence("Making records of a batch")
        self._unrecorded = 0
        self._updates = UpdateLog()
        self._update_fence = Fence("Making evidence of an update")

    def open(
        self,
        info: Callable[[str | None], RunInfo],
        *,
        sinks: Sequence[Sink],
        checkpoint: Checkpoint | None = None,
    ) -> Path | None:
        """Begin or continue a run; its folder, None where nothing is recorded.

        Raises:
            StoreError: the store can't be opened.
        """
        if not self._enabled:
            return None
        run, first_step = run_to_continue(checkpoint, self._output_dir, say=self._say)
        self._open(info, sinks=sinks, run=run, first_step=first_step)
        assert self.recorder is not None
        return self.recorder.folder

    def _say(self, line: str) -> None:
        if self._trainer.accelerator.is_main_process:
            print(f"rlvr: {line}", file=sys.stderr)  # noqa: T201

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
            max_bytes=self._max_bytes,
            compact=self._compact,
            mirror=self._mirror,
        )
        self._last_run = self.recorder.run
        if self.token_details_every and self.recorder.rank == 0:
            self.recorder.keep_vocabulary(token_texts(self._tokenizer()))

    def fail(self, error: BaseException) -> None:
        """Let the record say that training ends with this error."""
        if self.recorder is not None:
            self.recorder.fail(error)

    def lose(self, rollouts: int) -> None:
        """Count rollouts that never became records."""
        self._unrecorded += rollouts

    def close(self) -> None:
        """Write what waits, and say what was recorded and lost."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return
        self._write_updates(recorder)
        self._updates.follow((), keep_tokens=False)
        report = recorder.close()
        if recorder.rank == 0:
            line = closing_line(report, recorder.folder, unrecorded=self._unrecorded)
            if self._update_fence.failures:
                line += f"; evidence of {self._update_fence.failures:,} micro-batches is missing"
            print(line, file=sys.stderr)  # noqa: T201

    def batch(
        self,
        capture: BatchCapture | None,
        mode: Mode,
        *,
        advantages: Sequence[float] | None = None,
        forwards: Sequence[Sequence[Forward | None]] | None = None,
    ) -> BatchName | None:
        """Record the rollouts of one batch, under that name; see `build_trajectories`.

        A batch that can't be turned into records is counted and said, and training goes on.
        """
        if self.recorder is None or capture is None:
            return None
        name = self._next_name(self.recorder, mode)
        place = BatchPlace(
            run=self.recorder.run,
            mode=mode,
            step=name.step,
            batch=name.batch,
            attempt=name.attempt,
            rank=name.rank,
            first=name.rank * len(capture.rollouts),
        )
        try:
            trajectories = build_trajectories(
                capture,
                place,
                group_size=self._group_size(mode),
                advantages=advantages,
                forwards=forwards,
                keep_tokens=self._keeps_tokens(place.step),
            )
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._unrecorded += len(capture.rollouts)
            self._fence.failed(error, f"{len(capture.rollouts)} rollouts are not recorded.")
            return None
        self._fence.worked()
        self.recorder.record_batch(trajectories)
        return name

    def forwards(self, rollouts: Rollouts) -> BatchName | None:
        """Add to rank 0's records, whose name is returned, what this process's forward showed.

        Rank 0 calls `batch` instead: both count batches alike, so that ids agree.
        """
        if self.recorder is None:
            return None
        name = self._next_name(self.recorder, Mode.TRAIN)
        source = f"rank {self.recorder.rank}"
        try:
            notes = [
                Annotation(id=name.record_id(place), kind=kind, source=source, payload=payload)
                for place, (rows, forwards) in rollouts.items()
                for kind, payload in self._forward_payloads(rows, forwards, name.step)
                if payload
            ]
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._fence.failed(error, f"Token evidence of {len(rollouts)} rollouts is missing.")
            return None
        self._fence.worked()
        self.recorder.annotate(notes)
        return name

    def _group_size(self, mode: Mode) -> int:
        """Rollouts of one prompt in a batch of that mode."""
        size: int = 1 if mode is Mode.EVAL else self._trainer.num_generations
        return size

    def _next_name(self, recorder: Recorder, mode: Mode) -> BatchName:
        """The name of the next file of that mode; every process counts alike."""
        return BatchName(
            mode=mode,
            step=self._trainer.state.global_step,
            batch=recorder.next_batch(mode),
            attempt=recorder.attempt,
            rank=self._rank(recorder),
        )

    def _rank(self, _: Recorder) -> int:
        """The process that writes a batch's records."""
        return 0

    def _tokenizer(self) -> Any:
        return self._trainer.processing_class

    def _forward_payloads(
        self, rows: Rows, forwards: Forwards, step: int
    ) -> Iterator[tuple[str, Mapping[str, Json]]]:
        yield FORWARD_EVIDENCE, forward_evidence(rows, forwards)
        if self._keeps_tokens(step):
            yield FORWARD_TOKENS, forward_tokens(forwards)

    def follow(self, name: BatchName | None, rollouts: Rollouts) -> None:
        """The updates from now on train these rollouts of that batch, this process's share of it.

        `name` is None for a batch that is not recorded; its updates are not either.
        """
        if self.recorder is None:
            return
        self._write_updates(self.recorder)
        try:
            rows = () if name is None else self._trained_rows(name, rollouts)
            keep_tokens = name is not None and self._keeps_tokens(name.step)
            self._updates.follow(rows, keep_tokens=keep_tokens)
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._updates.follow((), keep_tokens=False)
            self._update_fence.failed(error, "Evidence of an update is missing.")

    def _trained_rows(self, name: BatchName, rollouts: Rollouts) -> list[TrainedRow]:
        return trained_rows(name, rollouts)

    def _epsilons(self) -> tuple[float, float]:
        """The lower and the upper one of the clipped objective."""
        return self._trainer.epsilon_low, self._trainer.epsilon_high

    def update(self, inputs: Mapping[str, torch.Tensor], computed: Sequence[torch.Tensor]) -> None:
        """Take what the loss of a micro-batch computed: the policy's logprobs, the reference's.

        What the updates before this one computed is written.
        """
        if self.recorder is None:
            return
        step = self._trainer.state.global_step
        try:
            self._updates.add(inputs, computed, update=step, epsilons=self._epsilons())
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._update_fence.failed(error, "Evidence of an update is missing.")
            return
        self._write_updates(self.recorder, before=step)

    def _write_updates(self, recorder: Recorder, *, before: int | None = None) -> None:
        try:
            notes = self._updates.take(recorder.rank, before=before)
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._update_fence.failed(error, "Evidence of an update is missing.")
            return
        recorder.annotate(notes)

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
