"""The token evidence of a simulated rollout, and its token details."""

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rlvr.diagnosis.simulated.episodes import Episode
from rlvr.diagnosis.simulated.settings import Fault, SimulatedRun
from rlvr.record import Span, TokenDetails, TokenEvidence, TrainingSequence, Trajectory

VOCABULARY = (*(f" word{number}" for number in range(500)), "<think>", "</think>")
_WORDS, _THINK, _THOUGHT = 500, 500, 501  # ids: ordinary ones, <think> and </think>
_SCHEMA_TOKENS = 14  # that a trainer which forgets the tools leaves out
_BLIND_GAP = 3.0  # nats, of a trainer that scores other text than was sampled
_DEPARTED_GAP = 1.5
_DRIFT = 0.05  # nats a step, of weights that never reach the sampler
_LATER_GAP = 0.8
_FAR_SHARE = 0.4  # beyond 1 nat, where the trainer scores other text
_CERTAIN = 0.005  # nats of entropy, of a policy that says one thing
_SCATTERED = 8.0  # times the entropy, of one that flew apart
_ROUNDING = 1e-3  # nats, more than float32 makes
_TAIL = 2e-4  # of bfloat16's tokens differ by more than 1 nat


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """The tokens of one rollout: sampled ones by turn, those of the environment, and its faults."""

    sampled: list[int]
    environment: int
    faults: frozenset[Fault]

    @property
    def total(self) -> int:
        return sum(self.sampled)


def evidence_of(
    run: SimulatedRun, episode: Episode, *, step: int, trained_here: bool, draw: random.Random
) -> TokenEvidence:
    """The evidence of one rollout; that of the trainer's forward only where it `trained_here`."""
    tokens = _Tokens(
        sampled=[turn.sampled_tokens or 0 for turn in episode.turns],
        environment=sum(episode.environment_tokens),
        faults=frozenset(f.kind for f in run.faults if run.has(f.kind, step, draw)),
    )
    masked = draw.random() < run.truncated or Fault.TRUNCATED_ROWS in tokens.faults
    again = draw.random() < run.retokenised and len(tokens.sampled) > 1
    rewritten = Fault.HISTORY_REWRITTEN in tokens.faults
    prompt, total = run.prompt_tokens, tokens.total
    repeated = prompt + tokens.sampled[0] + episode.environment_tokens[0] if again else 0
    counts = TokenEvidence(
        served_prompt_tokens=prompt,
        trained_prompt_tokens=prompt,
        sampled_tokens=total,
        trained_tokens=0 if masked else total,
        sampled_untrained_tokens=total if masked else 0,
        trained_unsampled_tokens=0,
        sequence_tokens=prompt + total + tokens.environment + repeated,
        sequences=len(tokens.sampled) if rewritten else 2 if again else 1,
        ids_match=True,
        truncated=masked,
    )
    if not masked:
        counts = _misplaced(counts, tokens)
    if not trained_here:
        return counts
    counts = _attended(counts, tokens)
    entropy = run.between(run.entropy, step // run.iterations) * draw.uniform(0.7, 1.3)
    if Fault.SAME_OUTPUT in tokens.faults:
        entropy = _CERTAIN
    if Fault.DIVERGENCE in tokens.faults:
        entropy *= _SCATTERED
    return (
        counts
        if masked
        else _compared(replace(counts, entropy_mean=entropy), run, tokens, step, draw)
    )


def _misplaced(counts: TokenEvidence, tokens: _Tokens) -> TokenEvidence:
    """The counts, with the faults of ids and loss mask."""
    total, prompt = tokens.total, counts.served_prompt_tokens or 0
    if Fault.MASK_COVERS_TOOLS in tokens.faults:
        wrong = tokens.environment or prompt
        counts = replace(counts, trained_tokens=total + wrong, trained_unsampled_tokens=wrong)
    if Fault.MASK_MISSES_ANSWERS in tokens.faults:
        missed = tokens.sampled[-1]
        counts = replace(counts, trained_tokens=total - missed, sampled_untrained_tokens=missed)
    if Fault.WRONG_TOKENS in tokens.faults:
        counts = replace(
            counts,
            trained_prompt_tokens=prompt - _SCHEMA_TOKENS,
            sequence_tokens=(counts.sequence_tokens or 0) - _SCHEMA_TOKENS,
            ids_match=False,
            mismatch_sequence=0,
            mismatch_turn=0,
            mismatch_token=prompt // 2,
        )
    return counts


def _attended(counts: TokenEvidence, tokens: _Tokens) -> TokenEvidence:
    """The evidence with what attention saw; of a masked rollout nothing else is known."""
    blind = Fault.HIDDEN_CONTEXT in tokens.faults
    prompt = counts.trained_prompt_tokens or 0
    unseen = prompt + tokens.environment if blind else 0
    return replace(
        counts,
        attended_share=1.0 - unseen / (prompt + tokens.environment + tokens.total),
        unattended_prompt_tokens=prompt if blind else 0,
        unattended_environment_tokens=tokens.environment if blind else 0,
        unattended_sampled_tokens=0,
        gap_mean_by_turn=(math.nan,) * len(tokens.sampled),
        gap_tokens_by_turn=(0,) * len(tokens.sampled),
    )


def _compared(
    evidence: TokenEvidence, run: SimulatedRun, tokens: _Tokens, step: int, draw: random.Random
) -> TokenEvidence:
    """The evidence with |trainer - sampler| logprobs."""
    level, later = _gap_level(run, tokens.faults, step)
    gaps = [
        level * (1 + 0.05 * turn) * math.exp(draw.gauss(0.0, 2.0 / math.sqrt(count + 4)))
        + (later if turn else 0.0)
        for turn, count in enumerate(tokens.sampled)
    ]
    mean = sum(gap * n for gap, n in zip(gaps, tokens.sampled, strict=True)) / tokens.total
    far = _FAR_SHARE if mean > 1 else _TAIL if mean > _ROUNDING else 0.0
    asked = min(tokens.total, 200)
    return replace(
        evidence,
        gap_mean=mean,
        gap_p99=mean * 7,
        gap_beyond_1nat=sum(draw.random() < far for _ in range(asked)) / asked if far else 0.0,
        gap_mean_by_turn=tuple(gaps),
        gap_tokens_by_turn=tuple(tokens.sampled),
    )


def _gap_level(run: SimulatedRun, faults: frozenset[Fault], step: int) -> tuple[float, float]:
    """Mean |trainer - sampler| logprob, and what turns after the first add to it."""
    behind = min(step, run.batches_ahead * run.iterations)
    level = run.gap + behind * run.gap_per_update
    level += sum(
        _DRIFT * fault.strength * max(0, step - fault.onset)
        for fault in run.faults
        if fault.kind is Fault.FROZEN_SAMPLER
    )
    level += _BLIND_GAP * (Fault.HIDDEN_CONTEXT in faults)
    level += _DEPARTED_GAP * (Fault.WRONG_TOKENS in faults)
    return level, _LATER_GAP * (Fault.LATER_TURNS_DIFFER in faults)


def with_details(trajectory: Trajectory, environment_tokens: tuple[int, ...]) -> Trajectory:
    """The rollout with one training sequence whose tokens add up to its evidence."""
    evidence = trajectory.evidence
    draw = np.random.default_rng(trajectory.batch * 10_007 + trajectory.sample)
    spans = _spans(trajectory, environment_tokens)
    length = spans[-1].stop
    roles = np.zeros(length, np.int64)  # 0 prompt, 1 environment, 2 + turn sampled
    for span in spans:
        places = {"prompt": 0, "environment": 1}
        roles[span.start : span.stop] = places.get(span.role, 2 + span.turn)
    is_sampled = roles > 1
    mask = is_sampled & bool(evidence.trained_tokens)
    if evidence.trained_tokens and evidence.sampled_untrained_tokens:
        mask &= roles != roles.max()
    if evidence.trained_unsampled_tokens:
        mask |= (roles == 1) if (roles == 1).any() else ~is_sampled
    ids = draw.integers(0, _WORDS, length)
    departed = evidence.mismatch_token is not None
    hidden = ~is_sampled & (evidence.attended_share not in (None, 1.0))
    by_turn = evidence.gap_mean_by_turn
    forward = evidence.attended_share is not None
    gap = np.array([0.0, 0.0, *(by_turn or (0.0,) * len(trajectory.turns))])[roles]
    sampler = np.where(is_sampled, -draw.exponential(0.4, length), np.nan)
    trainer = sampler - np.nan_to_num(gap) * draw.choice((-1.0, 1.0), length)
    extra = draw.integers(0, _WORDS, _SCHEMA_TOKENS) if departed else None
    at = evidence.mismatch_token or 0
    sequence = TrainingSequence(
        ids=array("i", ids.tolist()),
        loss_mask=array("b", mask.astype(np.int8).tolist()),
        spans=spans,
        attended=array("b", (~hidden).astype(np.int8).tolist()) if forward else None,
        sampler_logprobs=array("f", sampler.tolist()),
        trainer_logprobs=array("f", trainer.tolist()) if forward else None,
    )
    expected = None if extra is None else array("i", [*ids[:at], *extra, *ids[at:]])
    return replace(
        trajectory,
        tokens=TokenDetails(
            sequences=(sequence,), expected_ids=None if expected is None else (expected,)
        ),
    )


def with_rewritten_history(trajectory: Trajectory) -> Trajectory:
    """The rollout of `with_details`, a sequence for each turn: later ones lack the thoughts of the
    turns before, as under a template that drops them."""
    if trajectory.tokens is None or len(trajectory.turns) < 2:
        return trajectory
    (whole,) = trajectory.tokens.sequences
    sampled = [span for span in whole.spans if span.role == "assistant"]
    ids = list(whole.ids)
    for span in sampled:
        ids[span.start], ids[span.start + 2] = _THINK, _THOUGHT
    sequences = []
    for number, span in enumerate(sampled):
        dropped = [place for old in sampled[:number] for place in range(old.start, old.start + 3)]
        sequences.append(_turn_alone(whole, ids, span, frozenset(dropped)))
    return replace(trajectory, tokens=TokenDetails(sequences=tuple(sequences)))


def _turn_alone(
    whole: TrainingSequence, ids: list[int], span: Span, dropped: frozenset[int]
) -> TrainingSequence:
    """The sequence of one turn: what was served, without the places dropped, and its answer."""
    kept = [place for place in range(span.stop) if place not in dropped]
    start = len(kept) - (span.stop - span.start)

    def of(values: Sequence[float] | None) -> "array[float] | None":
        return None if values is None else array("f", [values[place] for place in kept])

    return TrainingSequence(
        ids=array("i", [ids[place] for place in kept]),
        loss_mask=array("b", [whole.loss_mask[p] if p >= span.start else 0 for p in kept]),
        spans=(
            Span(start=0, stop=start, turn=-1, role="prompt"),
            Span(start=start, stop=len(kept), turn=span.turn, role="assistant"),
        ),
        attended=None
        if whole.attended is None
        else array("b", [whole.attended[place] for place in kept]),
        sampler_logprobs=of(whole.sampler_logprobs),
        trainer_logprobs=of(whole.trainer_logprobs),
    )


def _spans(trajectory: Trajectory, environment_tokens: tuple[int, ...]) -> tuple[Span, ...]:
    prompt = trajectory.evidence.trained_prompt_tokens or 0
    lengths = [(prompt, -1, "prompt")]
    for turn, heard in zip(trajectory.turns, environment_tokens, strict=True):
        lengths.append((turn.sampled_tokens or 0, turn.index, "assistant"))
        lengths.append((heard, turn.index, "environment"))
    lengths = [entry for entry in lengths if entry[0]]
    edges = np.cumsum([0, *(length for length, _, _ in lengths)]).tolist()
    return tuple(
        Span(start=start, stop=stop, turn=turn, role=role)
        for (start, stop), (_, turn, role) in zip(pairwise(edges), lengths, strict=True)
    )
