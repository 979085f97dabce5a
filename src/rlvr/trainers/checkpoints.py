"""Checkpoints that a training can go on from, and the recorded run that each belongs to.

Importing this module loads neither torch nor transformers.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError

MARK = "rlvr.json"
"""Written last into a checkpoint, when every process is through: one that has it is whole."""

_STATE = "trainer_state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchShape:
    """What decides which questions a generation batch takes."""

    prompts_per_batch: int
    updates_per_batch: int

    @classmethod
    def of(cls, trainer: Any) -> "BatchShape":
        """The shape of a trainer's batches."""
        args = trainer.args
        rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        return cls(
            prompts_per_batch=rows // args.num_generations, updates_per_batch=args.num_iterations
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint. `run` and `shape` are None where it does not say."""

    folder: Path
    step: int
    run: str | None = None
    shape: BatchShape | None = None


def read_checkpoint(folder: Path) -> Checkpoint:
    """What a checkpoint's folder says of itself.

    Raises:
        ConfigurationError: it is no checkpoint, or was not saved to its end.
    """
    state = _document(folder / _STATE)
    if state is None or "global_step" not in state:
        torn = "is torn" if (folder / _STATE).exists() else "is missing"
        raise ConfigurationError(
            f"{folder} holds no whole checkpoint ({_STATE} {torn}): name a checkpoint-N folder that"
            " was saved to its end, or --resume latest"
        )
    mark = _document(folder / MARK) or {}
    shape = mark.get("batch")
    return Checkpoint(
        folder=folder,
        step=int(state["global_step"]),
        run=mark.get("run"),
        shape=BatchShape(**shape) if shape else None,
    )


def latest_checkpoint(output_dir: Path, *, say: Callable[[str], None]) -> Checkpoint:
    """The newest whole checkpoint of a folder; says which newer ones are passed over, and why.

    Where some are marked as whole, one that is not was interrupted.

    Raises:
        ConfigurationError: there is none.
    """
    saved = sorted(
        (path for path in output_dir.glob("checkpoint-*") if path.name[11:].isdecimal()),
        key=lambda path: int(path.name[11:]),
        reverse=True,
    )
    marked = any((path / MARK).exists() for path in saved)
    for path in saved:
        if marked and _document(path / MARK) is None:
            say(f"{path} is passed over: it was not saved to its end (no {MARK})")
            continue
        try:
            return read_checkpoint(path)
        except ConfigurationError as error:
            say(f"{path} is passed over: {error}")
    why = ": none of them was saved to its end" if saved else ""
    raise ConfigurationError(
        f"there is no checkpoint in {output_dir} to resume from{why}. Name the --output-dir of the"
        " earlier run, or leave --resume out to start anew"
    )


def mark_checkpoint(folder: Path, *, run: str | None, step: int, shape: BatchShape) -> None:
    """Say that a checkpoint is whole, which run it belongs to, and how its batches were made."""
    unfinished = folder / f".{MARK}"
    unfinished.write_text(json.dumps({"run": run, "step": step, "batch": asdict(shape)}))
    unfinished.replace(folder / MARK)


def check_shape(checkpoint: Checkpoint, shape: BatchShape) -> None:
    """A resumed training takes the questions that follow, which it can with like batches only.

    Raises:
        ConfigurationError: its batches differ from those of the checkpoint.
    """
    was = checkpoint.shape
    if was is None or was == shape:
        return
    raise ConfigurationError(
        f"{checkpoint.folder} was trained on {was.prompts_per_batch} prompts a batch, with"
        f" {was.updates_per_batch} updates each; this start has {shape.prompts_per_batch} and"
        f" {shape.updates_per_batch}, so questions would be repeated or left out. With other"
        " numbers of processes, change --batch-size or --gradient-accumulation-steps so that"
        " processes x batch size x accumulation stays what it was; or start a new run from the"
        " checkpoint's weights"
    )


def _document(path: Path) -> Mapping[str, Any] | None:
    """A JSON object; None where there is none, or it is torn."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
