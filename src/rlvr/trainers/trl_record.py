"""The record of TRL's trainer: each process records its own share of every batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rlvr.capture.evidence import Forward, forward_evidence, forward_tokens
from rlvr.capture.rollout import BatchCapture
from rlvr.capture.sequences import TokenRow
from rlvr.record import FORWARD_EVIDENCE, FORWARD_TOKENS, Annotation, Mode
from rlvr.recorder import Recorder
from rlvr.store import BatchName
from rlvr.trainers.training_record import TrainingRecord
from rlvr.trainers.trl_updates import as_update
from rlvr.trainers.updates import ROW_NUMBERS, TrainedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What one call of the loss computed: the attention mask that it used, (rows, length), and
    logprobs and entropies of the completion's tokens, (rows, completion length), in nats."""

    attended: torch.Tensor
    logprobs: torch.Tensor
    entropies: torch.Tensor | None


class SlicedRecord(TrainingRecord):
    """Where TRL's batches go. Every process gives its rollouts ids of its own rank.

    The logprobs of a batch that is trained at once are known only when its loss is computed, which
    is after its records are written: they become annotations, which readers fill in.
    """

    _begun: BatchName | None = None
    _name: BatchName | None = None
    _rows: Sequence[TokenRow] = ()
    _awaited: frozenset[int] = frozenset()

    def begin(self, mode: Mode) -> None:
        """A batch is being made. Every process counts it, whatever becomes of it, so that the
        ids of a group agree."""
        if self.recorder is None:
            return
        self._begun = super()._next_name(self.recorder, mode)
        if mode is Mode.TRAIN:  # the batch before is trained
            self._follow_batch(None, ())

    def _next_name(self, recorder: Recorder, mode: Mode) -> BatchName:
        begun, self._begun = self._begun, None
        return super()._next_name(recorder, mode) if begun is None else begun

    def train_on(self, capture: BatchCapture, advantages: Sequence[float]) -> None:
        """Record a batch of this process; the updates from now on train it."""
        name = self.batch(capture, Mode.TRAIN, advantages=advantages)
        self._follow_batch(name, [rollout.rows[0] for rollout in capture.rollouts])

    def _follow_batch(self, name: BatchName | None, rows: Sequence[TokenRow]) -> None:
        self._name, self._rows = name, rows
        self._awaited = frozenset(range(len(rows)))
        self.follow(name, {})

    def computed(self, inputs: Mapping[str, Any], computed: Computed) -> None:
        """Take what the loss of a micro-batch computed."""
        if self.recorder is None or ROW_NUMBERS not in inputs:
            return
        try:
            self._annotate_forwards(self.recorder, inputs, computed)
            update, logprobs = as_update(self._trainer, inputs, computed.logprobs)
        except Exception as error:  # noqa: BLE001  # the fence: recording never stops training
            self._update_fence.failed(error, "Evidence of an update is missing.")
            return
        self.update(update, logprobs)

    def _annotate_forwards(
        self, recorder: Recorder, inputs: Mapping[str, Any], computed: Computed
    ) -> None:
        """What the first loss of each row showed: the weights are those of the old logprobs."""
        if self._name is None:
            return
        numbers = inputs[ROW_NUMBERS].tolist()
        first = [at for at, number in enumerate(numbers) if number in self._awaited]
        self._awaited -= frozenset(numbers)
        if first:
            forwards = _forwards(inputs, computed, [self._rows[number] for number in numbers])
            found = [(numbers[at], forwards[at]) for at in first]
            recorder.annotate(list(self._notes(recorder, self._name, found)))

    def _notes(
        self, recorder: Recorder, name: BatchName, found: Sequence[tuple[int, Forward]]
    ) -> Iterator[Annotation]:
        source = f"rank {recorder.rank}"
        for number, forward in found:
            id = name.record_id(number)
            payload = forward_evidence([self._rows[number]], [forward])
            yield Annotation(id=id, kind=FORWARD_EVIDENCE, source=source, payload=payload)
            if self._keeps_tokens(name.step):
                tokens = forward_tokens([forward])
                yield Annotation(id=id, kind=FORWARD_TOKENS, source=source, payload=tokens)

    def _trained_rows(self, name: BatchName, _: Any) -> list[TrainedRow]:
        """The micro-batches number the rollouts; logprobs are those of completions alone."""
        return [
            TrainedRow(
                record=name.record_id(number),
                sequence=0,
                sequences=1,
                trained=np.flatnonzero(row.loss_mask[row.prompt_tokens :]) + 1,
            )
            for number, row in enumerate(self._rows)
        ]

    def _epsilons(self) -> tuple[float, float]:
        trainer = self._trainer
        if trainer.loss_type == "cispo":
            return float("inf"), trainer.epsilon_high - 1
        if trainer.loss_type in ("sapo", "vespo"):  # these weigh ratios and clip none
            return float("inf"), float("inf")
        return super()._epsilons()

    def _group_size(self, mode: Mode) -> int:
        trainer = self._trainer
        evaluates = mode is Mode.EVAL
        size: int = trainer.num_generations_eval if evaluates else trainer.num_generations
        return size

    def _rank(self, recorder: Recorder) -> int:
        return recorder.rank

    def _tokenizer(self) -> Any:
        return self._trainer._tokenizer


def _forwards(
    inputs: Mapping[str, Any], computed: Computed, rows: Sequence[TokenRow]
) -> list[Forward]:
    """Of each row of a micro-batch, without its padding: NaN where nobody computed a logprob."""
    old = inputs.get("old_per_token_logps")
    logprobs = _on_host(computed.logprobs if old is None else old)
    entropies = None if computed.entropies is None else _on_host(computed.entropies)
    attended = computed.attended.to("cpu", torch.int8).numpy()
    padded = inputs["prompt_ids"].shape[1]
    forwards = []
    for at, row in enumerate(rows):
        first, length = padded - row.prompt_tokens, len(row.ids) - row.prompt_tokens
        forwards.append(
            Forward(
                attended=attended[at, first : padded + length],
                logprobs=_behind_prompt(row, logprobs[at, :length]),
                entropy=None if entropies is None else _behind_prompt(row, entropies[at, :length]),
            )
        )
    return forwards


def _behind_prompt(row: TokenRow, values: Any) -> Any:
    unknown = np.full(row.prompt_tokens, np.nan, dtype=np.float32)
    return np.concatenate([unknown, values])


def _on_host(values: torch.Tensor) -> Any:
    return values.detach().float().cpu().numpy()
