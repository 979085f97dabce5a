"""Where a trainer offers its batches besides the store: W&B, where it reports there."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlvr.record import Sink


def wandb_sinks(
    trainer: Any,
    *,
    components: Sequence[str],
    samples: int,
    redact: Callable[[str], str] | None,
    output_dir: Path,
) -> list[Sink]:
    """The sink of W&B on the main process of a trainer that reports to it, else none.

    `components`: the reward's, by name. `samples`: rows of the table per logged step. `redact`:
    what W&B may see of a text.
    """
    if not trainer.accelerator.is_main_process or "wandb" not in trainer.args.report_to:
        return []
    from rlvr.sinks.wandb import WandbSink

    return [
        WandbSink(
            components=components,
            samples=samples,
            logging_steps=max(int(trainer.args.logging_steps), 1),
            seed=trainer.args.seed,
            redact=redact,
            output_dir=str(output_dir),
        )
    ]
