"""A batch that was prepared is finished: further sequences join it, and it is recorded."""

from collections.abc import Sequence
from typing import Any

import torch

from rlvr.record import Mode
from rlvr.trainers.forwards import PendingBatch, padded_rows, with_rows
from rlvr.trainers.updates import ROW_NUMBERS


def finish_batch(trainer: Any, pending: PendingBatch, batch_id: int, rows_per_process: int) -> None:
    """Train the further sequences of the batch, record it, and follow its updates.

    The trainer's buffered micro-batches grow by the further sequences of this process.
    """
    rollouts = _rows_of_all_rollouts(trainer, batch_id)
    first = trainer.accelerator.process_index * rows_per_process
    local = range(first, first + rows_per_process)
    forwards = pending.forwards_of([rollouts[index][:1] for index in local])
    further = _train_further_sequences(trainer, rollouts, local, pending.advantages)
    merged = [own + more for own, more in zip(forwards, further, strict=True)]
    trained = {at: (rollouts[at], own) for at, own in zip(local, merged, strict=True)}
    record = trainer._record
    if trainer.accelerator.is_main_process:
        known: list[list[Any]] = [[None] * len(rows) for rows in rollouts]
        known[first : first + rows_per_process] = merged
        capture = trainer.async_generator.captures.pop(batch_id)
        advantages = pending.advantages.tolist()
        name = record.batch(capture, Mode.TRAIN, advantages=advantages, forwards=known)
    else:
        name = record.forwards(trained)
    record.follow(name, trained)


def _rows_of_all_rollouts(trainer: Any, batch_id: int) -> list[Any]:
    """Every rollout's training sequences, on every process."""
    from accelerate.utils import broadcast_object_list

    held: list[Any] = [None]
    if trainer.accelerator.is_main_process:
        rollouts = trainer.async_generator.captures[batch_id].rollouts
        held = [[rollout.rows for rollout in rollouts]]
    if trainer.accelerator.num_processes > 1:
        broadcast_object_list(held, from_process=0)
    rows: list[Any] = held[0]
    return rows


def _train_further_sequences(
    trainer: Any, rollouts: Sequence[Any], local: range, advantages: torch.Tensor
) -> list[list[Any]]:
    """Add the sequences of restarted histories to this process's micro-batches.

    Every process runs the forward as soon as one has such a sequence, over as many rows as the one
    that has most, because each forward of sharded weights is a collective.
    """
    forwards: list[list[Any]] = [[] for _ in local]
    length = max((len(row.ids) for rows in rollouts for row in rows[1:]), default=0)
    if length == 0:
        return forwards
    mine = [(index, row) for index in local for row in rollouts[index][1:]]
    pad = trainer.processing_class.pad_token_id
    ids, mask = padded_rows(
        [row for _, row in mine],
        pad_token_id=pad,
        device=advantages.device,
        length=length,
        count=_most_further(rollouts, len(local)),
    )
    pending = PendingBatch(advantages=advantages)
    with trainer.observed(pending), torch.no_grad():
        logprobs = trainer._get_per_token_logps(
            trainer.model, ids, mask, length - 1, trainer.per_device_train_batch_size
        )
    added = [
        {
            "input_ids": ids[number],
            "attention_mask": mask[number],
            "old_per_token_logps": logprobs[number],
            "advantages": advantages[index],
            ROW_NUMBERS: torch.tensor(len(local) + number),
        }
        for number, (index, _) in enumerate(mine)
    ]
    trainer._buffered_inputs = with_rows(trainer._buffered_inputs, added, pad_token_id=pad)
    own = pending.forwards_of([[row] for _, row in mine])
    for (index, _), forward in zip(mine, own, strict=True):
        forwards[index - local.start] += forward
    return forwards


def _most_further(rollouts: Sequence[Any], rows_per_process: int) -> int:
    """The most further sequences that a process has."""
    further = [len(rows) - 1 if rows else 0 for rows in rollouts]
    starts = range(0, len(rollouts), rows_per_process)
    return max(sum(further[start : start + rows_per_process]) for start in starts)
