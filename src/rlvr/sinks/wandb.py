"""Weights & Biases: the table `full_trajectories`, a sampled view of the recorded trajectories."""

import importlib.util
import sys
from collections.abc import Callable, Sequence

from rlvr.redaction import Redactor
from rlvr.sinks.rows import Cell, TableShape
from rlvr.sinks.tables import TableSink
from rlvr.utils.statistics import TAGS

__all__ = ["WandbSink", "WandbTables"]


class WandbTables:
    """Logs each table to the active W&B run, which a trainer's callback or the user has started.

    Every table is a new one under its key, with `train/global_step` beside it, the axis that the
    Transformers callback declares. `step=` is never passed: W&B drops a row whose step is behind.
    """

    def unavailable(self) -> str | None:
        """Why there is no run to log to."""
        wandb = sys.modules.get("wandb")
        if wandb is None:
            return _why_not_imported()
        # A folder ./wandb of earlier runs imports as an empty package where W&B isn't installed.
        if not hasattr(wandb, "Table"):
            return "W&B is not installed (`wandb` is only a folder); pip install 'rlvr[wandb]'"
        if wandb.run is None:
            return (
                "no W&B run is active; train with report_to=['wandb'], or call wandb.init() first"
            )
        return None

    def log(
        self,
        key: str,
        *,
        columns: Sequence[str],
        types: Sequence[type],
        rows: Sequence[Sequence[Cell]],
        step: int,
    ) -> None:
        """Log one table. Raises what W&B raises."""
        import wandb

        run = wandb.run
        if run is None:
            raise RuntimeError("the W&B run ended before its sink was closed")
        table = wandb.Table(
            columns=list(columns),
            data=[list(row) for row in rows],
            dtype=list(types),
            optional=True,
        )
        run.log({key: table, "train/global_step": step})


def _why_not_imported() -> str:
    spec = importlib.util.find_spec("wandb")
    if spec is None or spec.origin is None:
        return "W&B is not installed; pip install 'rlvr[wandb]'"
    return "no W&B run is active; train with report_to=['wandb'], or call wandb.init() first"


class WandbSink(TableSink):
    """The W&B sink: `TableSink` over the active run. Make one on rank 0 only.

    `components` names the reward components; each has a column `Reward_NAME`. `output_dir` is
    where the run is recorded: the command in the column Record names the run beneath it. `redact`
    is applied to every text; by default it replaces secrets (`rlvr.redaction`). `full=False` leaves
    the column Full_Trajectory out. `tags` are those that Format_Valid expects. Close it before
    `wandb.finish()`.
    """

    def __init__(
        self,
        *,
        components: Sequence[str],
        output_dir: str,
        samples: int = 5,
        logging_steps: int = 1,
        full: bool = True,
        seed: int = 0,
        redact: Callable[[str], str] | None = None,
        max_cell_chars: int = 50_000,
        queue_batches: int = 8,
        tags: Sequence[str] = TAGS,
        linger_s: float = 30.0,
    ) -> None:
        shape = TableShape(
            components=tuple(dict.fromkeys(components)),
            output_dir=output_dir,
            redact=redact or Redactor().text,
            full=full,
            max_cell_chars=max_cell_chars,
            tags=tuple(tags),
        )
        super().__init__(
            name="wandb",
            log=WandbTables(),
            shape=shape,
            samples=samples,
            logging_steps=logging_steps,
            seed=seed,
            queue_batches=queue_batches,
            linger_s=linger_s,
        )
