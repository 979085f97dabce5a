"""Made-up rollouts that cost what real ones cost: long texts over many turns, and their tokens.

A text is a row of word pieces whose ranks follow Zipf's law, so that a token's id, its text and how
well both compress belong together. Rollouts of a group share the prompt and the documents that
their tool finds, as siblings do. Needs numpy and `rlvr.record`, which loads nothing else: other
programs' environments make the same rollouts with it.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rlvr.record import (
    Component,
    Message,
    Mode,
    Span,
    TokenDetails,
    TokenEvidence,
    ToolCall,
    ToolResult,
    TrainingSequence,
    Trajectory,
    Turn,
)

GROUP_SIZE = 8
PIECES = 32_000
SYSTEM_TOKENS = 150
QUESTION_TOKENS = 60
DOCUMENT_TOKENS = 160
WEIGHTS = {"exact_match": 0.6, "f1": 0.3, "format": 0.1}

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A step's rollouts. `tokens` is the length of each; `turns` how often each calls its tool."""

    trajectories: int
    tokens: int
    turns: int
    details: bool

    @property
    def name(self) -> str:
        """For tables: 64 x 3k, with token details."""
        size = f"{self.tokens // 1_000}k" if self.tokens >= 1_000 else str(self.tokens)
        return f"{self.trajectories:,} x {size}" + (" + tokens" if self.details else "")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens and their text."""

    role: str
    turn: int
    ids: Ids
    text: str


class Rollouts:
    """The rollouts of one step, made once; `at_step` gives them anew for any step."""

    def __init__(self, workload: Workload, *, seed: int = 0) -> None:
        self._workload = workload
        self._draw = np.random.default_rng(seed)
        self._system = self._text("prompt", -1, SYSTEM_TOKENS)
        groups = range(-(-workload.trajectories // GROUP_SIZE))
        rows = [row for group in groups for row in self._group(group)]
        self.rows = tuple(rows[: workload.trajectories])

    def at_step(self, step: int) -> list[Trajectory]:
        """Records that share no text and no array with those of another step."""
        return [_fresh(row, step) for row in self.rows]

    def _text(self, role: str, turn: int, count: int) -> _Piece:
        ids = np.searchsorted(_cumulated(), self._draw.random(count))
        return _Piece(role, turn, ids, _spelled(ids))

    def _group(self, group: int) -> Iterator[Trajectory]:
        question = self._text("prompt", -1, QUESTION_TOKENS)
        documents = [
            self._text("environment", 0, DOCUMENT_TOKENS)
            for _ in range(max(8, self._workload.tokens // DOCUMENT_TOKENS))
        ]
        for sample in range(GROUP_SIZE):
            yield self._row(group, sample, question, documents)

    def _row(
        self, group: int, sample: int, question: _Piece, documents: Sequence[_Piece]
    ) -> Trajectory:
        pieces = [self._system, question, *self._turns(documents)]
        completion, results = _conversation(pieces[2:])
        reward = float(self._draw.random() < 0.4)
        return Trajectory(
            run="",
            mode=Mode.TRAIN,
            step=0,
            batch=0,
            attempt=0,
            group_id=f"g{group:05d}",
            sample=sample,
            task="benchmark",
            example_id=f"row-{group}",
            question=question.text,
            answer=question.text[-20:],
            prompt=(
                Message(role="system", content=self._system.text),
                Message(role="user", content=question.text),
            ),
            completion=completion,
            tool_results=results,
            turns=tuple(
                Turn(
                    index=turn,
                    finish_reason="tool_calls" if turn < self._workload.turns else "stop",
                    prompt_tokens=1_000 * turn,
                    sampled_tokens=100 + turn,
                    policy_version=3,
                    duration_s=float(self._draw.random()),
                )
                for turn in range(self._workload.turns + 1)
            ),
            stop_reason="answered",
            components=tuple(
                Component(name=name, value=reward * weight, weight=weight)
                for name, weight in WEIGHTS.items()
            ),
            reward=reward,
            advantage=float(self._draw.normal()),
            evidence=self._evidence(),
            tokens=self._details(pieces) if self._workload.details else None,
        )

    def _turns(self, documents: Sequence[_Piece]) -> Iterator[_Piece]:
        """Per turn some thinking, a query and documents; then the answer. `tokens` in all."""
        left = self._workload.tokens - SYSTEM_TOKENS - QUESTION_TOKENS
        each = left // (self._workload.turns + 1)
        for turn in range(self._workload.turns):
            yield self._text("assistant", turn, each // 3)
            yield self._text("query", turn, 8)
            found = self._draw.integers(len(documents), size=-(-each * 2 // 3 // DOCUMENT_TOKENS))
            ids = np.concatenate([documents[at].ids for at in found])[: each - each // 3 - 8]
            yield _Piece("environment", turn, ids, _spelled(ids))
        yield self._text("assistant", self._workload.turns, each)

    def _evidence(self) -> TokenEvidence:
        size, turns = self._workload.tokens, self._workload.turns + 1
        gaps = self._draw.exponential(1e-4, turns + 2).tolist()
        return TokenEvidence(
            served_prompt_tokens=SYSTEM_TOKENS + QUESTION_TOKENS,
            trained_prompt_tokens=SYSTEM_TOKENS + QUESTION_TOKENS,
            sampled_tokens=size // 3,
            trained_tokens=size // 3,
            sampled_untrained_tokens=0,
            trained_unsampled_tokens=0,
            sequence_tokens=size,
            attended_share=1.0,
            sequences=1,
            ids_match=True,
            truncated=False,
            gap_mean=gaps[0],
            gap_p99=gaps[1],
            gap_beyond_1nat=0.0,
            gap_mean_by_turn=tuple(gaps[2:]),
            gap_tokens_by_turn=(size // 3 // turns,) * turns,
            entropy_mean=float(self._draw.random()),
        )

    def _details(self, pieces: Sequence[_Piece]) -> TokenDetails:
        """Compact arrays, as `rlvr.capture` hands them over."""
        ids = np.concatenate([piece.ids for piece in pieces])
        sampled = np.concatenate(
            [np.full(len(p.ids), p.role in ("assistant", "query")) for p in pieces]
        )
        spans, start = [], 0
        for piece in pieces:
            role = "assistant" if piece.role == "query" else piece.role
            stop = start + len(piece.ids)
            spans.append(Span(start=start, stop=stop, turn=piece.turn, role=role))
            start = stop
        trainer = -self._draw.exponential(0.4, len(ids)).astype(np.float32)
        noise = self._draw.normal(0, 1e-3, len(ids)).astype(np.float32)
        sampler = np.where(sampled, trainer + noise, np.float32("nan"))
        entropy = self._draw.exponential(0.5, len(ids)).astype(np.float32)
        trainer[0] = entropy[0] = np.nan
        sequence = TrainingSequence(
            ids=array("i", ids.astype(np.int32).tobytes()),
            loss_mask=array("b", sampled.astype(np.int8).tobytes()),
            attended=array("b", np.ones(len(ids), np.int8).tobytes()),
            spans=tuple(spans),
            sampler_logprobs=array("f", sampler.tobytes()),
            trainer_logprobs=array("f", trainer.tobytes()),
            entropy=array("f", entropy.tobytes()),
        )
        return TokenDetails(sequences=(sequence,))


@cache
def _cumulated() -> npt.NDArray[np.float64]:
    weights = 1.0 / (np.arange(PIECES) + 2.7)
    shares: npt.NDArray[np.float64] = np.cumsum(weights / weights.sum())
    shares[-1] = 1.0
    return shares


@cache
def _vocabulary() -> tuple[str, ...]:
    """A piece for each rank, the frequent ones short; most begin a word."""
    draw = np.random.default_rng(1)
    letters = np.array(list("eeeeeetttttaaaaooooiiiinnnnsssshhhrrrdddlluucmfwgypbvk"))
    lengths = np.clip(draw.normal(2.0 + np.log10(np.arange(PIECES) + 1), 1.2), 1, 12).astype(int)
    begins = draw.random(PIECES) < 0.8
    return tuple(
        (" " if begin else "") + "".join(draw.choice(letters, length))
        for length, begin in zip(lengths.tolist(), begins.tolist(), strict=True)
    )


def _spelled(ids: Ids) -> str:
    return "".join(map(_vocabulary().__getitem__, ids.tolist()))


def _conversation(
    pieces: Sequence[_Piece],
) -> tuple[tuple[Message, ...], tuple[ToolResult, ...]]:
    """Messages and tool results of the pieces after the prompt."""
    messages, results = [], []
    for thought, query, found in zip(pieces[0:-1:3], pieces[1:-1:3], pieces[2:-1:3], strict=True):
        arguments = json.dumps({"query": query.text})
        call = ToolCall(id=f"call_{thought.turn}", name="retrieve", arguments=arguments)
        text = f"<think>{thought.text}</think>"
        messages.append(Message(role="assistant", content=text, tool_calls=(call,)))
        messages.append(Message(role="tool", content=found.text, tool_call_id=call.id))
        results.append(
            ToolResult(
                turn=thought.turn,
                call_id=call.id,
                name="retrieve",
                arguments=arguments,
                result=found.text,
                duration_s=0.01 * len(messages),
            )
        )
    answer = pieces[-1].text
    messages.append(Message(role="assistant", content=f"{answer}<answer>{answer[-30:]}</answer>"))
    return tuple(messages), tuple(results)


def _fresh(row: Trajectory, step: int) -> Trajectory:
    completion = tuple(_fresh_message(message) for message in row.completion)
    texts = {message.tool_call_id: message.content for message in completion}
    results = tuple(replace(result, result=texts[result.call_id]) for result in row.tool_results)
    return replace(
        row,
        step=step,
        batch=step,
        group_id=f"train-b{step:06d}-{row.group_id}",
        prompt=tuple(_fresh_message(message) for message in row.prompt),
        completion=completion,
        tool_results=results,
        tokens=_fresh_tokens(row.tokens),
    )


def _fresh_message(message: Message) -> Message:
    return replace(message, content=f"{message.content} "[:-1])


def _fresh_tokens(tokens: TokenDetails | None) -> TokenDetails | None:
    if tokens is None:
        return None
    (sequence,) = tokens.sequences
    copied = replace(
        sequence,
        **{
            name: getattr(sequence, name)[:]
            for name in (
                "ids",
                "loss_mask",
                "attended",
                "sampler_logprobs",
                "trainer_logprobs",
                "entropy",
            )
        },
    )
    return TokenDetails(sequences=(copied,))


def tokens_dict(sequence: TrainingSequence) -> dict[str, list[Any]]:
    """The aligned lists of a training sequence. Attention is left out: it is 1 everywhere."""
    names = ("ids", "loss_mask", "sampler_logprobs", "trainer_logprobs", "entropy")
    return {name: list(getattr(sequence, name)) for name in names}
