"""The recorder's life inside a trainer: opened when training starts, closed when it ends."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlvr.record import RunInfo, Sink
from rlvr.recorder import Recorder, RecorderReport
from rlvr.store import run_folder
from rlvr.trainers.checkpoints import BatchShape, Checkpoint, mark_checkpoint


def run_to_continue(
    checkpoint: Checkpoint | None, output_dir: Path, *, say: Callable[[str], None]
) -> tuple[str | None, int]:
    """(run, step) that a training from a checkpoint goes on with; the run is None for a new one.

    A run that is not in the output folder can't be continued: that is said, and a new one begins at
    the checkpoint's step.
    """
    if checkpoint is None:
        return None, 0
    run = checkpoint.run
    if run is not None and not run_folder(output_dir, run).is_dir():
        say(
            f"{checkpoint.folder} belongs to run {run}, which is not in {output_dir / 'rlvr'}: a"
            f" new run begins at step {checkpoint.step}"
        )
        run = None
    return run, checkpoint.step


class MarkCheckpoints(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    """Marks each checkpoint as whole, with the run that it belongs to, once it is saved.

    `current` gives the open recorder, `shape` that of the trainer's batches.
    """

    def __init__(
        self,
        trainer: Any,
        current: Callable[[], Recorder | None],
        shape: Callable[[Any], BatchShape] = BatchShape.of,
    ) -> None:
        self._trainer = trainer
        self._current = current
        self._shape = shape

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Wait until every process has saved its part; then the main one marks the folder."""
        self._trainer.accelerator.wait_for_everyone()
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not self._trainer.accelerator.is_main_process or not folder.is_dir():
            return
        recorder = self._current()
        run = None if recorder is None else recorder.run
        mark_checkpoint(folder, run=run, step=state.global_step, shape=self._shape(self._trainer))


def open_recorder(
    output_dir: str | Path,
    info: Callable[[str | None], RunInfo],
    *,
    run: str | None,
    first_step: int,
    accelerator: Any,
    sinks: Sequence[Sink],
    max_bytes: int | None = None,
    compact: bool = True,
    mirror: str | None = None,
) -> Recorder:
    """Open the store on every process of a training; rank 0 decides run and attempt.

    `run` is the run to continue from `first_step`, None for a new one.

    Raises:
        StoreError: the store can't be opened.
    """
    from accelerate.utils import broadcast_object_list

    recorder = None
    claimed: list[Any] = [None]
    if accelerator.is_main_process:
        recorder = Recorder.open(
            output_dir,
            info=info(run),
            run=run,
            first_step=first_step,
            world_size=accelerator.num_processes,
            sinks=sinks,
            max_bytes=max_bytes,
            compact=compact,
            mirror=mirror,
        )
        claimed = [(recorder.run, recorder.attempt)]
    if accelerator.num_processes > 1:
        broadcast_object_list(claimed, from_process=0)
    if recorder is None:
        run, attempt = claimed[0]
        recorder = Recorder.open(
            output_dir,
            run=run,
            attempt=attempt,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            mirror=mirror,
        )
    return recorder


def closing_line(report: RecorderReport, folder: Path, *, unrecorded: int = 0) -> str:
    """What was recorded and what was lost, in one line.

    `unrecorded` counts rollouts that never became records, so that the recorder knows none of them.
    """
    lost = report.dropped + report.failed + unrecorded
    line = f"rlvr: {report.recorded:,} trajectories recorded in {folder}"
    if lost:
        failed = report.failed + unrecorded
        line += f"; {lost:,} LOST ({report.dropped:,} dropped, {failed:,} failed)"
    for sink in report.sinks:
        if sink.dropped or sink.failed:
            line += f"; {sink.name}: {sink.dropped} dropped, {sink.failed} failed"
    if report.mirror is not None:
        line += f"; {report.mirror.text(folder)}"
    return line
