"""The cheap token evidence of one trajectory, and its token details when asked for."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rlvr.capture.sequences import TokenRow
from rlvr.codec import pack_floats, pack_marks
from rlvr.record import (
    FORWARD_FIELDS,
    Json,
    TokenDetails,
    TokenEvidence,
    TrainingSequence,
)

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """What the trainer computed for one sequence before the update.

    Each array has one entry a token of the sequence (no padding): the attention mask that was
    used, and, in nats, logprob and entropy of the prediction of that token (NaN for the first).
    """

    attended: npt.NDArray[np.int8]
    logprobs: FloatArray
    entropy: FloatArray | None = None


def token_evidence(
    rows: Sequence[TokenRow],
    forwards: Sequence[Forward | None],
    *,
    turn_count: int,
    served_prompt_tokens: int | None,
    ids_match: bool | None,
    truncated: bool | None,
) -> TokenEvidence:
    """Evidence over all training sequences of a trajectory; None wherever a forward is missing."""
    turns = np.concatenate([np.asarray(row.turns, dtype=np.int64) for row in rows])
    mask = np.concatenate([np.asarray(row.loss_mask, dtype=np.int8) for row in rows]) > 0
    sampled = turns >= 0
    known = [forward for forward in forwards if forward is not None]
    complete = len(known) == len(rows)
    counts = TokenEvidence(
        served_prompt_tokens=served_prompt_tokens,
        trained_prompt_tokens=rows[0].prompt_tokens,
        sampled_tokens=int(sampled.sum()),
        trained_tokens=int(mask.sum()),
        sampled_untrained_tokens=int((sampled & ~mask).sum()),
        trained_unsampled_tokens=int((mask & ~sampled).sum()),
        sequence_tokens=int(turns.size),
        sequences=len(rows),
        ids_match=ids_match,
        truncated=truncated,
    )
    if not complete:
        return counts
    return _with_forward(
        counts,
        rows=rows,
        forwards=known,
        turns=turns,
        compared=mask & sampled,
        turn_count=turn_count,
    )


def forward_evidence(
    rows: Sequence[TokenRow], forwards: Sequence[Forward | None]
) -> dict[str, Json]:
    """The fields of FORWARD_FIELDS that the forwards give; none where a forward is missing."""
    evidence = token_evidence(
        rows,
        forwards,
        turn_count=1 + max((turn for row in rows for turn in row.turns), default=-1),
        served_prompt_tokens=None,
        ids_match=None,
        truncated=None,
    )
    fields = {name: getattr(evidence, name) for name in FORWARD_FIELDS}
    return {name: value for name, value in fields.items() if value is not None}


def forward_tokens(forwards: Sequence[Forward | None]) -> dict[str, Json]:
    """Every token's attention mask, logprob and entropy, packed; {} where there is no forward."""
    if all(forward is None for forward in forwards):
        return {}
    return {
        "attended": [None if f is None else pack_marks(f.attended) for f in forwards],
        "trainer_logprobs": [None if f is None else pack_floats(f.logprobs) for f in forwards],
        "entropy": [
            None if f is None or f.entropy is None else pack_floats(f.entropy) for f in forwards
        ],
    }


def _with_forward(
    counts: TokenEvidence,
    *,
    rows: Sequence[TokenRow],
    forwards: Sequence[Forward],
    turns: npt.NDArray[np.int64],
    compared: npt.NDArray[np.bool_],
    turn_count: int,
) -> TokenEvidence:
    sampler = np.concatenate([np.asarray(row.logprobs, dtype=np.float64) for row in rows])
    trainer = np.concatenate([forward.logprobs for forward in forwards]).astype(np.float64)
    attended = np.concatenate([forward.attended for forward in forwards])
    seen = attended > 0
    prompt = np.concatenate([np.arange(len(row.ids)) < row.prompt_tokens for row in rows])
    learnt, compared = compared, compared & ~np.isnan(sampler)
    gap = np.abs(trainer - sampler)
    by_turn = [gap[compared & (turns == turn)] for turn in range(turn_count)]
    entropies = [forward.entropy for forward in forwards if forward.entropy is not None]
    entropy = np.concatenate(entropies) if len(entropies) == len(forwards) else None
    values = gap[compared]
    return replace(
        counts,
        attended_share=float(attended.mean()) if attended.size else None,
        unattended_prompt_tokens=int((~seen & prompt).sum()),
        unattended_environment_tokens=int((~seen & ~prompt & (turns < 0)).sum()),
        unattended_sampled_tokens=int((~seen & (turns >= 0)).sum()),
        gap_mean=float(values.mean()) if values.size else None,
        gap_p99=float(np.quantile(values, 0.99)) if values.size else None,
        gap_beyond_1nat=float((values > 1.0).mean()) if values.size else None,
        gap_mean_by_turn=tuple(float(g.mean()) if g.size else float("nan") for g in by_turn),
        gap_tokens_by_turn=tuple(int(g.size) for g in by_turn),
        entropy_mean=_mean_or_none(entropy, learnt),
    )


def _mean_or_none(values: FloatArray | None, chosen: npt.NDArray[np.bool_]) -> float | None:
    if values is None or not chosen.any():
        return None
    return float(values[chosen].mean())


def token_details(
    rows: Sequence[TokenRow],
    forwards: Sequence[Forward | None],
    *,
    expected_ids: Sequence[Sequence[int]] | None = None,
) -> TokenDetails:
    """Every token of every training sequence, as compact arrays that nothing else holds.

    `expected_ids` are the sequences that should have been trained, where they are others.
    """
    sequences = []
    for row, forward in zip(rows, forwards, strict=True):
        sequences.append(
            TrainingSequence(
                ids=array("i", row.ids),
                loss_mask=array("b", row.loss_mask),
                attended=array("b", forward.attended.tobytes()) if forward else None,
                spans=row.spans(),
                sampler_logprobs=array("f", row.logprobs),
                trainer_logprobs=array("f", forward.logprobs) if forward else None,
                entropy=array("f", forward.entropy)
                if forward is not None and forward.entropy is not None
                else None,
            )
        )
    expected = None if expected_ids is None else tuple(array("i", ids) for ids in expected_ids)
    return TokenDetails(sequences=tuple(sequences), expected_ids=expected)
