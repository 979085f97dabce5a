"""The trainer's own forward, asked again: with another context, and with another weight."""

import asyncio
import copy
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rlvr.capture.rollout import CURRENT_ROLLOUT, RolloutCapture, current
from rlvr.capture.sequences import SampledTurn, TokenRow, training_rows
from rlvr.preflight.dry_batch import DryBatch, Example, Undecidable, in_a_worker, sharded
from rlvr.trainers.forwards import padded_rows

_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Training sequences as the trainer pads them. All have shape (N, L) but `judged`: (N, L - 1).

    `mask` is the loss mask, which the trainer passes where attention masks are passed; `judged`
    marks the predictions of sampled tokens that are trained.
    """

    rows: tuple[TokenRow, ...]
    ids: torch.Tensor
    mask: torch.Tensor
    judged: torch.Tensor

    @classmethod
    def of(cls, trainer: Any, rows: Sequence[TokenRow]) -> "Rows":
        """Pad rows as training does."""
        ids, mask = padded_rows(
            rows,
            pad_token_id=trainer.processing_class.pad_token_id,
            device=trainer.accelerator.device,
            length=max(len(row.ids) for row in rows),
        )
        sampled = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            sampled[number, : len(row.ids)] = torch.tensor([int(t >= 0) for t in row.turns])
        return cls(rows=tuple(rows), ids=ids, mask=mask, judged=((mask * sampled) > 0)[:, 1:])


def rows_of(dry: DryBatch, *, later_turns: bool = False) -> Rows:
    """First sequences of some rollouts, of as many groups as there are.

    With `later_turns` those alone in which sampled tokens follow a tool result.

    Raises:
        Undecidable: there are none, or no forward is possible yet.
    """
    check_whole_weights(dry.trainer)
    by_group = [
        [
            r.capture.rows[0]
            for r in group
            if r.capture.rows and _usable(r.capture.rows[0], later_turns)
        ]
        for group in dry.groups
    ]
    dry.sampled()
    chosen = [row for level in itertools.zip_longest(*by_group) for row in level if row is not None]
    if not chosen:
        what = "a tool result before a trained token" if later_turns else "a trained token"
        raise Undecidable(f"no rollout of the dry batch has {what}")
    return Rows.of(dry.trainer, chosen[:_ROWS])


def _usable(row: TokenRow, later_turns: bool) -> bool:
    places = [at for at, turn in enumerate(row.turns) if turn >= 0 and row.loss_mask[at]]
    if not places or not row.prompt_tokens:
        return False
    shown = row.turns[row.prompt_tokens : places[-1]]
    return -1 in shown if later_turns else True


def check_whole_weights(trainer: Any) -> None:
    """This process must hold every weight.

    Raises:
        Undecidable: they are sharded.
    """
    if sharded(trainer):
        raise Undecidable("the weights are sharded (ZeRO-3) until training starts")


@torch.no_grad()
def logprobs(trainer: Any, rows: Rows, *, ids: Any = None, see_all: bool = False) -> torch.Tensor:
    """The trainer's logprobs of `judged` tokens, in nats; shape (N, L - 1), 0 elsewhere.

    With the masks that training uses, or with ones everywhere if `see_all`.
    """
    chosen = rows.ids if ids is None else ids
    mask = torch.ones_like(rows.mask) if see_all else rows.mask
    values = trainer._get_per_token_logps(
        trainer.model, chosen, mask, chosen.shape[1] - 1, trainer.per_device_train_batch_size
    ).float()
    return torch.where(rows.judged, values, torch.zeros_like(values))


def mean_difference(rows: Rows, one: torch.Tensor, two: torch.Tensor) -> float:
    """Mean |difference| in nats over the judged tokens."""
    return float((one - two).abs()[rows.judged].mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Answers of the sampler to some prompts: their sequences, and the sampler's logprobs."""

    rows: Rows
    sampler: torch.Tensor


def ask_sampler(dry: DryBatch, examples: Sequence[Example]) -> Sampled:
    """Let the sampler answer each prompt once, by the environment's own request.

    Raises:
        Undecidable: the sampler says no token ids or logprobs.
    """
    turns: list[SampledTurn] = []
    for capture in in_a_worker(functools.partial(_ask, dry, examples)):
        turns += capture.sampled[:1]
    rows = [row for turn in turns for row in training_rows([turn])]
    if not rows:
        raise Undecidable("the sampler returned no token ids")
    padded = Rows.of(dry.trainer, rows)
    sampler = torch.zeros(padded.judged.shape, device=padded.ids.device)
    for number, row in enumerate(rows):
        sampler[number, : len(row.ids) - 1] = torch.tensor(row.logprobs[1:])
    if torch.isnan(sampler[padded.judged]).any():
        raise Undecidable("the sampler returned no logprobs")
    return Sampled(rows=padded, sampler=torch.where(padded.judged, sampler, 0.0))


async def _ask(dry: DryBatch, examples: Sequence[Example]) -> list[RolloutCapture]:
    trainer = dry.trainer
    client = trainer._recording_generator()._make_client()
    try:
        return list(await asyncio.gather(*(_answer(dry, client, example) for example in examples)))
    finally:
        await client.close()


async def _answer(dry: DryBatch, client: Any, example: Example) -> RolloutCapture:
    trainer, capture = dry.trainer, RolloutCapture()
    arguments = copy.deepcopy(dict(dry.view.sampling_args or {})) | trainer._get_sampling_args()
    with current(CURRENT_ROLLOUT, capture):
        await dry.view.get_model_response(
            client,
            trainer._get_model_name(),
            example.prompt,
            oai_tools=example.info.get("oai_tools"),
            sampling_args=arguments,
            message_type=dry.view.message_type,
        )
    return capture
