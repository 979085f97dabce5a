"""The branches of a v1 trace, and the tokens of each."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rlvr.interchange.foreign import UnusableRow
from rlvr.interchange.values import insist, mapping, sequence
from rlvr.record import Span, TokenDetails, TokenEvidence, TrainingSequence

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A path from root to leaf: `nodes` as they were written, `places` in the trace's list."""

    nodes: Sequence[Mapping[str, Any]]
    places: Sequence[int]

    @property
    def messages(self) -> list[Any]:
        """The messages of the path, calls in OpenAI's form."""
        return [_openai(insist(node.get("message"), "a node's message")) for node in self.nodes]

    @property
    def first_sampled(self) -> int:
        """Place of the first message that was sampled; all of them where none was."""
        sampled = (at for at, node in enumerate(self.nodes) if node.get("sampled"))
        return next(sampled, len(self.nodes))

    @property
    def sampled_nodes(self) -> tuple[int, ...]:
        """The nodes that were sampled, as places in the trace's list."""
        return tuple(
            place
            for place, node in zip(self.places, self.nodes, strict=True)
            if node.get("sampled")
        )

    @property
    def token_ids(self) -> list[int]:
        """The ids of the whole path; empty where none were kept."""
        return [int(token) for node in self.nodes for token in sequence(node.get("token_ids"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchTokens:
    """What the branches of a trace say of its tokens. `advantage` is None where it is not one."""

    advantage: float | None = None
    evidence: TokenEvidence = field(default_factory=TokenEvidence)
    details: TokenDetails | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One branch as a sequence; floats are NaN where there is none."""

    ids: npt.NDArray[np.int64]
    sampled: npt.NDArray[np.bool_]
    turns: npt.NDArray[np.int64]
    prompt_tokens: int
    loss_mask: npt.NDArray[np.bool_] | None
    sampler: Floats
    trainer: Floats | None
    reference: Floats | None
    entropy: Floats | None
    advantages: Floats


def branches_of(trace: Mapping[str, Any]) -> tuple[Branch, ...]:
    """Every branch, in the order of its leaf.

    Raises:
        UnusableRow: a node's parent does not stand before it.
    """
    nodes = [mapping(node) for node in sequence(trace.get("nodes"))]
    parents = [node.get("parent") for node in nodes]
    for place, parent in enumerate(parents):
        if parent is not None and not (isinstance(parent, int) and 0 <= parent < place):
            raise UnusableRow(f"node {place} has {parent!r} for a parent")
    inner = {parent for parent in parents if parent is not None}
    found = []
    for leaf in (place for place in range(len(nodes)) if place not in inner):
        path: list[int] = []
        at: int | None = leaf
        while at is not None:
            path.append(at)
            at = parents[at]
        path.reverse()
        found.append(Branch(nodes=[nodes[place] for place in path], places=path))
    return tuple(found)


def branch_tokens(
    branches: Sequence[Branch], exported: Callable[[Branch], Mapping[str, Any] | None]
) -> BranchTokens:
    """Evidence and details; all None where the branches hold no token ids."""
    rows = [_row(branch, exported(branch)) for branch in branches if branch.token_ids]
    if not rows:
        return BranchTokens()
    return BranchTokens(
        advantage=_advantage(rows),
        evidence=_evidence(rows),
        details=TokenDetails(sequences=tuple(map(_sequence, rows))),
    )


def _row(branch: Branch, export: Mapping[str, Any] | None) -> _Row:
    ids = np.asarray(branch.token_ids, dtype=np.int64)
    sampled = np.concatenate([_mask(node) for node in branch.nodes])
    turns = np.full(len(ids), -1, np.int64)
    start, turn = 0, 0
    for node in branch.nodes:
        stop = start + len(sequence(node.get("token_ids")))
        turns[start:stop][sampled[start:stop]] = turn
        turn += bool(node.get("sampled"))
        start = stop
    noted = export or {}
    return _Row(
        ids=ids,
        sampled=sampled,
        turns=turns,
        prompt_tokens=int(sampled.argmax()) if sampled.any() else len(ids),
        loss_mask=_bools(noted, "loss_mask", len(ids)),
        sampler=_spread(branch, "logprobs"),
        trainer=_aligned(noted, "trainer_logprobs", len(ids), _maybe(branch, "trainer_logprobs")),
        reference=_maybe(branch, "reference_logprobs"),
        entropy=_aligned(noted, "entropy", len(ids), _maybe(branch, "entropies")),
        advantages=_spread(branch, "advantages"),
    )


def _mask(node: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    ids, mask = sequence(node.get("token_ids")), sequence(node.get("mask"))
    if len(ids) != len(mask):
        raise UnusableRow(f"a node of {len(ids)} tokens has a mask of {len(mask)}")
    return np.asarray(mask, dtype=np.bool_)


def _spread(branch: Branch, name: str) -> Floats:
    """A compact field, aligned with the ids: NaN where a token was not sampled, or not noted."""
    parts = []
    for node in branch.nodes:
        mask = _mask(node)
        values = [np.nan if value is None else float(value) for value in sequence(node.get(name))]
        out = np.full(len(mask), np.nan)
        if values and len(values) != int(mask.sum()):
            raise UnusableRow(f"{len(values)} {name} for {int(mask.sum())} sampled tokens")
        if values:
            out[mask] = values
        parts.append(out)
    return np.concatenate(parts)


def _maybe(branch: Branch, name: str) -> Floats | None:
    """The spread field, None where no node notes it."""
    if all(node.get(name) is None for node in branch.nodes):
        return None
    return _spread(branch, name)


def _aligned(
    export: Mapping[str, Any], name: str, length: int, otherwise: Floats | None
) -> Floats | None:
    values = sequence(export.get(name))
    if len(values) != length:
        return otherwise
    return np.asarray([np.nan if v is None else float(v) for v in values], dtype=np.float64)


def _bools(export: Mapping[str, Any], name: str, length: int) -> npt.NDArray[np.bool_] | None:
    values = sequence(export.get(name))
    return np.asarray(values, dtype=np.bool_) if len(values) == length else None


def _advantage(rows: Sequence[_Row]) -> float | None:
    """The advantage that every sampled token has, None where tokens differ or none has one."""
    known = np.concatenate([row.advantages[row.sampled] for row in rows])
    known = known[~np.isnan(known)]
    if not known.size or np.ptp(known) > 1e-6 * max(1.0, float(np.abs(known).max())):
        return None
    return float(known[0])


def _evidence(rows: Sequence[_Row]) -> TokenEvidence:
    """What the tokens say. Which of them were trained is known of exported sequences alone."""
    sampled = np.concatenate([row.sampled for row in rows])
    counts = TokenEvidence(
        served_prompt_tokens=rows[0].prompt_tokens,
        sampled_tokens=int(sampled.sum()),
        sequence_tokens=int(sampled.size),
        sequences=len(rows),
        entropy_mean=_mean(rows),
        **_gaps(rows),
    )
    masks = [row.loss_mask for row in rows if row.loss_mask is not None]
    if len(masks) != len(rows):
        return counts
    loss = np.concatenate(masks)
    return replace(
        counts,
        trained_prompt_tokens=rows[0].prompt_tokens,
        trained_tokens=int(loss.sum()),
        sampled_untrained_tokens=int((sampled & ~loss).sum()),
        trained_unsampled_tokens=int((loss & ~sampled).sum()),
        ids_match=True,
    )


def _gaps(rows: Sequence[_Row]) -> dict[str, Any]:
    """The gap's fields over what was sampled and, where that is known, trained.

    None where a sequence has no logprobs of its trainer.
    """
    trainers = [row.trainer for row in rows if row.trainer is not None]
    if len(trainers) != len(rows):
        return {}
    sampler = np.concatenate([row.sampler for row in rows])
    turns = np.concatenate([row.turns for row in rows])
    wanted = [row.sampled if row.loss_mask is None else row.loss_mask for row in rows]
    gap = np.abs(np.concatenate(trainers) - sampler)
    compared = np.concatenate(wanted) & ~np.isnan(gap)
    values = gap[compared]
    if not values.size:
        return {}
    by_turn = [gap[compared & (turns == turn)] for turn in range(int(turns.max()) + 1)]
    return {
        "gap_mean": float(values.mean()),
        "gap_p99": float(np.quantile(values, 0.99)),
        "gap_beyond_1nat": float((values > 1.0).mean()),
        "gap_mean_by_turn": tuple(float(g.mean()) if g.size else float("nan") for g in by_turn),
        "gap_tokens_by_turn": tuple(int(g.size) for g in by_turn),
    }


def _mean(rows: Sequence[_Row]) -> float | None:
    entropies = [row.entropy[row.sampled] for row in rows if row.entropy is not None]
    if len(entropies) != len(rows):
        return None
    known = np.concatenate(entropies)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else None


def _sequence(row: _Row) -> TrainingSequence:
    mask = row.sampled if row.loss_mask is None else row.loss_mask
    return TrainingSequence(
        ids=array("q", row.ids.tolist()),
        loss_mask=array("b", mask.astype(np.int8).tolist()),
        spans=_spans(row),
        sampler_logprobs=array("d", row.sampler.tolist()),
        trainer_logprobs=None if row.trainer is None else array("d", row.trainer.tolist()),
        reference_logprobs=None if row.reference is None else array("d", row.reference.tolist()),
        entropy=None if row.entropy is None else array("d", row.entropy.tolist()),
    )


def _spans(row: _Row) -> tuple[Span, ...]:
    """Runs of prompt, assistant and environment tokens."""
    spans: list[Span] = []
    edges = np.flatnonzero(np.diff(row.turns)) + 1
    last = -1
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(row.ids)], strict=True):
        turn = int(row.turns[start])
        last = max(last, turn)
        role = "assistant" if turn >= 0 else "prompt" if last < 0 else "environment"
        spans.append(Span(start=start, stop=stop, turn=last, role=role))
    return tuple(spans)


def _openai(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A v1 message with its calls as OpenAI writes them."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_call(mapping(call)) for call in calls]}


def _call(call: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": call.get("id"), "type": "function", "function": call} if "name" in call else call
