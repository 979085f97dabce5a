"""What each optimizer update computed of a batch's sequences, taken without waiting for a device.

An update's numbers stay where they were computed until a micro-batch of the next one is over:
verifiers' loss itself has waited for the device by then, so that moving them costs a copy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rlvr.capture.evidence import Forward
from rlvr.capture.sequences import TokenRow
from rlvr.codec import pack_floats
from rlvr.record import UPDATE_EVIDENCE, UPDATE_TOKENS, Annotation, Json
from rlvr.store import BatchName

ROW_NUMBERS = "row_numbers"
"""Name of the tensor in a micro-batch that says which of the batch's rows it has."""

Rollouts = Mapping[int, tuple[Sequence[TokenRow], Sequence[Forward | None]]]
"""Training sequences and their forwards by the rollout's place in the batch. A forward is None
where the trainer cut the sequence otherwise than is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRow:
    """A row of this process's micro-batches: sequence `sequence` of `sequences` of a record.

    `trained` holds the places of the tokens with a loss, None for a sequence that was cut. Nothing
    predicts the first token, so it has no loss.
    """

    record: str
    sequence: int
    sequences: int
    trained: npt.NDArray[np.intp] | None


def trained_rows(name: BatchName, rollouts: Rollouts) -> list[TrainedRow]:
    """The rows that the micro-batches number: each rollout's first sequence, then all further."""
    first = [_row(name, place, *own, 0) for place, own in rollouts.items()]
    further = [
        _row(name, place, *own, sequence)
        for place, own in rollouts.items()
        for sequence in range(1, len(own[0]))
    ]
    return first + further


def _row(
    name: BatchName,
    place: int,
    rows: Sequence[TokenRow],
    forwards: Sequence[Forward | None],
    sequence: int,
) -> TrainedRow:
    mask = np.asarray(rows[sequence].loss_mask[1:])
    whole = forwards[sequence] is not None
    return TrainedRow(
        record=name.record_id(place),
        sequence=sequence,
        sequences=len(rows),
        trained=np.flatnonzero(mask) + 1 if whole else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MicroBatch:
    """What one call of the loss computed; tensors on its device.

    counts: (rows, 3): clipped tokens, trained tokens, and the sum of their KL if `has_reference`.
    policy, reference: (rows, length - 1), None where they are not kept or not there.
    """

    update: int
    number: int
    rows: tuple[TrainedRow, ...]
    counts: torch.Tensor
    has_reference: bool
    policy: torch.Tensor | None
    reference: torch.Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One sequence in one update, on the host."""

    row: TrainedRow
    micro_batch: int
    clipped: float
    tokens: float
    kl: float | None
    policy: npt.NDArray[np.float32] | None
    reference: npt.NDArray[np.float32] | None


class UpdateLog:
    """The updates of one process, until they are written."""

    def __init__(self) -> None:
        self._rows: Sequence[TrainedRow] = ()
        self._keep_tokens = False
        self._update = -1
        self._number = 0
        self._waiting: list[_MicroBatch] = []

    def follow(self, rows: Sequence[TrainedRow], *, keep_tokens: bool) -> None:
        """From now on the micro-batches number these rows."""
        self._rows = rows
        self._keep_tokens = keep_tokens

    def add(
        self,
        inputs: Mapping[str, torch.Tensor],
        computed: Sequence[torch.Tensor],
        *,
        update: int,
        epsilons: tuple[float, float],
    ) -> None:
        """Take a micro-batch and its logprobs: the policy's, then the reference's if there is one.

        `epsilons` are the lower and the upper one of the clipped objective.
        """
        self._number = self._number + 1 if update == self._update else 0
        self._update = update
        if ROW_NUMBERS not in inputs or not self._rows:
            return
        policy, *others = computed
        reference = others[0] if others else None
        self._waiting.append(
            _MicroBatch(
                update=update,
                number=self._number,
                rows=tuple(self._rows[at] for at in inputs[ROW_NUMBERS].tolist()),
                counts=_counts(inputs, policy, reference, epsilons),
                has_reference=reference is not None,
                policy=policy if self._keep_tokens else None,
                reference=reference if self._keep_tokens else None,
            )
        )

    def take(self, rank: int, *, before: int | None = None) -> list[Annotation]:
        """Notes of the updates below `before`, of all where it is None; they are then forgotten.

        `rank` is this process's.
        """
        ready = [micro for micro in self._waiting if before is None or micro.update < before]
        self._waiting = [] if before is None else [m for m in self._waiting if m.update >= before]
        if not ready:
            return []
        counts = torch.cat([micro.counts for micro in ready]).cpu().tolist()
        numbers = iter(counts)
        parts: dict[tuple[int, str], list[_Part]] = {}
        for micro in ready:
            for part in _parts(micro, numbers):
                parts.setdefault((micro.update, part.row.record), []).append(part)
        return [
            note
            for (update, record), own in parts.items()
            for note in _notes(rank, update, record, own)
        ]


def _notes(rank: int, update: int, record: str, parts: Sequence[_Part]) -> Iterator[Annotation]:
    tokens = sum(part.tokens for part in parts)
    evidence: dict[str, Json] = {
        "rank": rank,
        "micro_batches": _by_sequence(parts, [part.micro_batch for part in parts]),
    }
    if tokens:
        evidence["clipped_share"] = _short(sum(part.clipped for part in parts) / tokens)
        divergences = [part.kl for part in parts if part.kl is not None]
        if divergences:
            evidence["kl_mean"] = _short(sum(divergences) / tokens)
    payloads = {UPDATE_EVIDENCE: evidence, UPDATE_TOKENS: _token_payload(parts)}
    for kind, payload in payloads.items():
        if payload:
            source = f"rank {rank}"
            yield Annotation(id=record, kind=kind, source=source, update=update, payload=payload)


def _counts(
    inputs: Mapping[str, torch.Tensor],
    policy: torch.Tensor,
    reference: torch.Tensor | None,
    epsilons: tuple[float, float],
) -> torch.Tensor:
    """Of each row what `GRPOTrainer.compute_loss` averages for clip_ratio/region_mean and kl."""
    mask = inputs["attention_mask"][:, 1:]
    advantages = inputs["advantages"].unsqueeze(1)
    ratio = torch.exp(policy - inputs["old_per_token_logps"])
    low = (ratio < 1 - epsilons[0]) & (advantages < 0)
    high = (ratio > 1 + epsilons[1]) & (advantages > 0)
    clipped = ((low | high) * mask).sum(-1).float()
    if reference is None:
        kl = torch.zeros_like(clipped)
    else:
        apart = reference - policy
        kl = ((torch.exp(apart) - apart - 1) * mask).float().sum(-1)
    return torch.stack([clipped, mask.sum(-1).float(), kl], dim=-1)


def _parts(micro: _MicroBatch, numbers: Iterator[Sequence[float]]) -> Iterator[_Part]:
    policy, reference = _on_host(micro.policy), _on_host(micro.reference)
    for at, row in enumerate(micro.rows):
        clipped, tokens, kl = next(numbers)
        yield _Part(
            row=row,
            micro_batch=micro.number,
            clipped=clipped,
            tokens=tokens,
            kl=kl if micro.has_reference else None,
            policy=_of_trained(policy, at, row),
            reference=_of_trained(reference, at, row),
        )


def _on_host(logprobs: torch.Tensor | None) -> npt.NDArray[np.float32] | None:
    return None if logprobs is None else np.asarray(logprobs.float().cpu(), dtype=np.float32)


def _of_trained(
    logprobs: npt.NDArray[np.float32] | None, at: int, row: TrainedRow
) -> npt.NDArray[np.float32] | None:
    if logprobs is None or row.trained is None:
        return None
    cut: npt.NDArray[np.float32] = logprobs[at, row.trained - 1]
    return cut


def _token_payload(parts: Sequence[_Part]) -> dict[str, Json]:
    named = {
        "trainer_logprobs": [part.policy for part in parts],
        "reference_logprobs": [part.reference for part in parts],
    }
    return {
        name: _by_sequence(parts, [None if cut is None else pack_floats(cut) for cut in values])
        for name, values in named.items()
        if any(cut is not None for cut in values)
    }


def _by_sequence(parts: Sequence[_Part], values: Sequence[Json]) -> list[Json]:
    placed: list[Json] = [None] * parts[0].row.sequences
    for part, value in zip(parts, values, strict=True):
        placed[part.row.sequence] = value
    return placed


def _short(value: float) -> float:
    """As many digits as a float32 has."""
    return float(f"{value:.7g}")
