"""Bytes on disk of token details, for each part of them: the table of docs/tokens.md.

    python benchmarks/token_bytes.py

64 trajectories of 3,000 tokens, of which 1,000 were sampled and trained; ids and logprobs are drawn
at random, so that they compress as badly as real ones can.
"""

import tempfile
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import rlvr
from rlvr.codec import pack_floats, pack_marks
from rlvr.record import (
    FORWARD_TOKENS,
    UPDATE_EVIDENCE,
    UPDATE_TOKENS,
    Annotation,
    Json,
    Mode,
    RunInfo,
    Span,
    TokenDetails,
    TrainingSequence,
    Trajectory,
)
from rlvr.recorder import Recorder

ROLLOUTS, TOKENS, TRAINED = 64, 3_000, 1_000
UPDATES = 4
draw = np.random.default_rng(0)


def main() -> None:
    """Record the same rollouts without and with each part, and print what each part adds."""
    plain = _bytes(lambda recorder: recorder.record_batch(_batch(details=False)))
    details = _bytes(lambda recorder: recorder.record_batch(_batch(details=True)))
    _say("token details of a trajectory", (details["trajectories"] - plain["trajectories"]), TOKENS)
    for kind, tokens in ((FORWARD_TOKENS, TOKENS), (UPDATE_TOKENS, TRAINED)):
        _say(f"{kind}, a process or an update", _annotated(kind), tokens)
    each = _annotated(UPDATE_EVIDENCE) / ROLLOUTS / UPDATES
    print(f"{UPDATE_EVIDENCE}: {each:.0f} bytes a trajectory and update")


def _say(what: str, size: float, tokens: int) -> None:
    updates = UPDATES if UPDATE_TOKENS in what else 1
    print(f"{what}: {size / ROLLOUTS / updates / tokens * 1000:,.0f} bytes per 1,000 tokens")


def _annotated(kind: str) -> int:
    updates: list[int | None] = [None] if kind == FORWARD_TOKENS else list(range(UPDATES))
    notes = [
        Annotation(
            id=f"train-s000000-b000000-a00-r000-{at:05d}",
            kind=kind,
            source="rank 0",
            update=update,
            payload=_payload(kind),
        )
        for update in updates
        for at in range(ROLLOUTS)
    ]
    return _bytes(lambda recorder: recorder.annotate(notes))["annotations"]


def _payload(kind: str) -> dict[str, Json]:
    if kind == UPDATE_EVIDENCE:
        share, kl = (float(f"{value:.7g}") for value in draw.random(2))
        return {"rank": 0, "micro_batches": [3], "clipped_share": share, "kl_mean": kl}
    if kind == UPDATE_TOKENS:
        return {name: [pack_floats(_logprobs(TRAINED))] for name in _UPDATE_ARRAYS}
    return {
        "attended": [pack_marks(np.ones(TOKENS))],
        "trainer_logprobs": [pack_floats(_logprobs(TOKENS))],
        "entropy": [pack_floats(-_logprobs(TOKENS))],
    }


_UPDATE_ARRAYS = ("trainer_logprobs", "reference_logprobs")


def _logprobs(count: int) -> np.ndarray:
    return -draw.exponential(0.5, count).astype(np.float32)


def _batch(*, details: bool) -> list[Trajectory]:
    rollout = Trajectory(
        run="", mode=Mode.TRAIN, step=0, batch=0, attempt=0, group_id="g", sample=0
    )
    return [replace(rollout, tokens=_details() if details else None) for _ in range(ROLLOUTS)]


def _details() -> TokenDetails:
    context = TOKENS - TRAINED
    sampler = np.concatenate([np.full(context, np.nan, np.float32), _logprobs(TRAINED)])
    sequence = TrainingSequence(
        ids=array("i", draw.integers(0, 150_000, TOKENS).astype(np.int32)),
        loss_mask=array("b", [0] * context + [1] * TRAINED),
        attended=array("b", [1] * TOKENS),
        spans=(
            Span(start=0, stop=context, turn=-1, role="prompt"),
            Span(start=context, stop=TOKENS, turn=0, role="assistant"),
        ),
        sampler_logprobs=array("f", sampler),
        trainer_logprobs=array("f", _logprobs(TOKENS)),
        entropy=array("f", -_logprobs(TOKENS)),
    )
    return TokenDetails(sequences=(sequence,))


def _bytes(record: Callable[[Recorder], object]) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        with Recorder.open(folder, info=RunInfo(run="", created_at=0.0)) as recorder:
            record(recorder)
        path = Path(rlvr.open_run(folder).path)
        return {
            part: sum(file.stat().st_size for file in (path / part).rglob("*.parquet"))
            for part in ("trajectories", "annotations")
        }


if __name__ == "__main__":
    main()
