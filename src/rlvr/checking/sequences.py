"""Checks of token details, and of the evidence that follows from them."""

import math
from collections.abc import Iterator

import numpy as np

from rlvr.checking.answers import Answers
from rlvr.record import TokenDetails, TrainingSequence, Trajectory

_ALIGNED = (
    "loss_mask",
    "attended",
    "sampler_logprobs",
    "trainer_logprobs",
    "reference_logprobs",
    "entropy",
)
_TOLERANCE = 1e-4
"""Logprobs are kept as float32, their gap was computed of them as float64."""


def check_tokens(trajectory: Trajectory, vocabulary: int, answers: Answers) -> None:
    """The token details of a rollout, where it has any; `vocabulary` counts the texts of ids."""
    details, id = trajectory.tokens, trajectory.id or ""
    if details is None:
        return
    answers.seen("tokens")
    why = next(_misfits(details), None)
    if why is not None:
        answers.wrong("tokens", id, why, is_id=True)
        return
    answers.seen("evidence")
    other = next(_contradictions(trajectory, details), None)
    if other is not None:
        answers.wrong("evidence", id, other, is_id=True)
    if vocabulary:
        answers.seen("vocabulary")
        largest = max((max(s.ids, default=-1) for s in details.sequences), default=-1)
        smallest = min((min(s.ids, default=0) for s in details.sequences), default=0)
        if largest >= vocabulary or smallest < 0:
            wrong = largest if largest >= vocabulary else smallest
            why = f"has token {wrong}, the vocabulary has {vocabulary:,} texts"
            answers.wrong("vocabulary", id, why, is_id=True)
    else:
        answers.unknown("vocabulary", "the run has no vocabulary.json")


def _misfits(details: TokenDetails) -> Iterator[str]:
    for at, sequence in enumerate(details.sequences):
        length = len(sequence.ids)
        for name in _ALIGNED:
            values = getattr(sequence, name)
            if values is not None and len(values) != length:
                yield f"sequence {at} has {length} ids, but {len(values)} entries of {name}"
        end = 0
        for span in sequence.spans:
            if not end <= span.start <= span.stop <= length:
                yield f"sequence {at} has {length} ids, but a span from {span.start} to {span.stop}"
            end = span.stop


def _contradictions(trajectory: Trajectory, details: TokenDetails) -> Iterator[str]:
    """Where a number of the evidence is not that of the sequences."""
    evidence, sequences = trajectory.evidence, details.sequences
    counted: dict[str, float | None] = {
        "sequences": len(sequences),
        "sequence_tokens": sum(len(s.ids) for s in sequences),
        "trained_tokens": sum(sum(mask > 0 for mask in s.loss_mask) for s in sequences),
        "attended_share": _attended(sequences),
        "gap_mean": _gap(sequences),
    }
    for name, value in counted.items():
        recorded = getattr(evidence, name)
        if recorded is not None and value is not None and not _close(value, recorded):
            yield f"{name} is {recorded:.6g}, its tokens say {value:.6g}"
    if evidence.ids_match and details.expected_ids is not None:
        yield "ids_match is true, but other ids were expected"
    if details.expected_ids is not None and evidence.mismatch_token is not None:
        yield from _other_place(trajectory, details)


def _other_place(trajectory: Trajectory, details: TokenDetails) -> Iterator[str]:
    at, token = trajectory.evidence.mismatch_sequence or 0, trajectory.evidence.mismatch_token or 0
    expected = details.expected_ids or ()
    if at >= len(expected) or at >= len(details.sequences):
        return
    wanted, trained = expected[at], details.sequences[at].ids
    both = zip(wanted, trained, strict=False)
    shorter = min(len(wanted), len(trained))
    first = next((place for place, (one, other) in enumerate(both) if one != other), shorter)
    if first != token:
        yield f"mismatch_token is {token}, its ids depart from the expected ones at {first}"


def _attended(sequences: tuple[TrainingSequence, ...]) -> float | None:
    masks = [s.attended for s in sequences if s.attended is not None]
    tokens = sum(map(len, masks))
    return sum(map(sum, masks)) / tokens if tokens and len(masks) == len(sequences) else None


def _gap(sequences: tuple[TrainingSequence, ...]) -> float | None:
    gaps = []
    for s in sequences:
        if s.sampler_logprobs is None or s.trainer_logprobs is None:
            return None
        gap = np.abs(np.asarray(s.trainer_logprobs) - np.asarray(s.sampler_logprobs))
        gaps.append(gap[(np.asarray(s.loss_mask) > 0) & ~np.isnan(gap)])
    values = np.concatenate(gaps) if gaps else np.empty(0)
    return float(values.mean()) if values.size else None


def _close(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
