"""The recorder's life inside a trainer: opened when training starts, closed when it ends."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlvr.record import RunInfo, Sink
from rlvr.recorder import Recorder, RecorderReport

RUN_FILE = "rlvr.json"


def run_of_checkpoint(checkpoint: str | Path | None) -> tuple[str | None, int]:
    """The run that a checkpoint belongs to and the step it was saved at; (None, 0) without one."""
    if checkpoint is None:
        return None, 0
    folder = Path(checkpoint)
    state = folder / "trainer_state.json"
    step = int(json.loads(state.read_text())["global_step"]) if state.exists() else 0
    kept = folder / RUN_FILE
    return (json.loads(kept.read_text())["run"] if kept.exists() else None), step


class RunInCheckpoint(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    """Writes the run's id into every checkpoint, so that a resumed training continues the run."""

    def __init__(self, current: Callable[[], Recorder | None]) -> None:
        self._current = current

    def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Put the id beside the trainer's own state."""
        recorder = self._current()
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if recorder is None or recorder.rank != 0 or not folder.is_dir():
            return
        (folder / RUN_FILE).write_text(json.dumps({"run": recorder.run, "step": state.global_step}))


def open_recorder(
    output_dir: str | Path,
    info: Callable[[str | None], RunInfo],
    *,
    run: str | None,
    first_step: int,
    accelerator: Any,
    sinks: Sequence[Sink],
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
    return line
