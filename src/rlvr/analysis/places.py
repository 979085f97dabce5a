"""One turn of a trajectory, and the tokens around one of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rlvr.analysis.alignment import Pair, aligned
from rlvr.errors import RecordNotFound
from rlvr.record import Message, ToolResult, TrainingSequence, Trajectory, Turn

BEFORE, AFTER = 12, 18
"""Rows that a strip has on either side of its token."""

GAP_HEAD, GAP_TAIL = 6, 3
"""Rows that are left of a long run of tokens which should be there and are not."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlace:
    """One assistant turn, with what came between the turn before and it, and what answered it.

    `start`, `answer` and `stop` are places in prompt and completion: the messages shown, and among
    them the assistant's own. `gap_*` is |trainer - sampler| over this turn, None if not recorded.
    `departs` is the (sequence, token) where the trained ids leave the served and sampled ones, if
    that is in this turn.
    """

    turn: int
    turns: int
    start: int
    answer: int
    stop: int
    messages: tuple[Message, ...]
    tool_results: tuple[ToolResult, ...] = ()
    sampled: Turn | None = None
    gap_mean: float | None = None
    gap_tokens: int | None = None
    departs: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """One token of a training sequence, and what was served or sampled in its place.

    `place` and `id` are None for a token that should have been trained and was not, `wanted_id` for
    one that should not; `differs` says that the two are not the same. Texts are None without a
    vocabulary. Logprobs are in nats, None if not recorded, NaN where there is none. `further`
    counts tokens that were not trained either and are left out after this one.
    """

    place: int | None = None
    id: int | None = None
    text: str | None = None
    role: str | None = None
    turn: int | None = None
    in_loss: bool | None = None
    attended: bool | None = None
    sampler_logprob: float | None = None
    trainer_logprob: float | None = None
    wanted_id: int | None = None
    wanted_text: str | None = None
    differs: bool = False
    further: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStrip:
    """The tokens around one.

    `sequences` were trained, `wanted_sequences` should have been, None if that is not known to be
    others. `matched` says that equal tokens stand beside each other. `row` is the place of the
    token in `tokens`.
    """

    sequence: int
    sequences: int
    wanted_sequences: int | None
    token: int
    row: int
    length: int
    tokens: tuple[TokenPlace, ...]
    matched: bool = True

    @property
    def turn(self) -> int | None:
        """The assistant turn that the token belongs to or follows, 0 for one of the prompt."""
        turn = self.tokens[self.row].turn
        return None if turn is None else max(turn, 0)


def turn_place(trajectory: Trajectory, turn: int) -> TurnPlace:
    """The assistant turn of that number, from 0.

    Raises:
        RecordNotFound: there is no such turn.
    """
    messages, first = trajectory.messages, len(trajectory.prompt)
    answers = [at for at in range(first, len(messages)) if messages[at].role == "assistant"]
    if not 0 <= turn < len(answers):
        raise _no_such(trajectory, "turn", turn, len(answers))
    answer = answers[turn]
    start = answers[turn - 1] + 1 if turn else max(answer - 1, 0)
    stop = answers[turn + 1] if turn + 1 < len(answers) else len(messages)
    evidence = trajectory.evidence
    departs = None
    if evidence.mismatch_turn == turn and evidence.mismatch_token is not None:
        departs = (evidence.mismatch_sequence or 0, evidence.mismatch_token)
    return TurnPlace(
        turn=turn,
        turns=len(answers),
        start=start,
        answer=answer,
        stop=stop,
        messages=messages[start:stop],
        tool_results=tuple(done for done in trajectory.tool_results if done.turn == turn),
        sampled=next((sampled for sampled in trajectory.turns if sampled.index == turn), None),
        gap_mean=_at(evidence.gap_mean_by_turn, turn),
        gap_tokens=_at(evidence.gap_tokens_by_turn, turn),
        departs=departs,
    )


def token_strip(
    trajectory: Trajectory, sequence: int, token: int, vocabulary: Sequence[str] = ()
) -> TokenStrip | None:
    """The tokens around that one of that training sequence, both from 0.

    None where the trajectory has no token details.

    Raises:
        RecordNotFound: it has details, but no such token.
    """
    details = trajectory.tokens
    if details is None:
        return None
    wanted = details.expected_ids
    count = max(len(details.sequences), len(wanted or ()))
    if not 0 <= sequence < count:
        raise _no_such(trajectory, "sequence", sequence, count)
    trained = _at(details.sequences, sequence)
    ids: Sequence[int] = trained.ids if trained else ()
    others = ids if wanted is None else _at(wanted, sequence) or ()
    pairs, matched = aligned(ids, others)
    centre = _centre(pairs, token, len(ids))
    if centre is None:
        raise _no_such(trajectory, "token", token, len(ids), f" in training sequence {sequence}")
    rows = list(_rows(pairs, centre))
    row = next(at for at, (pair, _) in enumerate(rows) if pair == centre)
    first = max(0, row - BEFORE)
    return TokenStrip(
        sequence=sequence,
        sequences=len(details.sequences),
        wanted_sequences=None if wanted is None else len(wanted),
        token=token,
        row=row - first,
        length=len(ids),
        tokens=tuple(
            _token(pairs[pair], further, trained, others, vocabulary)
            for pair, further in rows[first : row + AFTER + 1]
        ),
        matched=matched,
    )


def _no_such(
    trajectory: Trajectory, what: str, number: int, count: int, where: str = ""
) -> RecordNotFound:
    few = "there is none" if not count else "there is 0 only"
    has = f"they go from 0 to {count - 1:,}" if count > 1 else few
    return RecordNotFound(f"trajectory {trajectory.id} has no {what} {number}{where}; {has}.")


def _centre(pairs: Sequence[Pair], token: int, length: int) -> int | None:
    """The pair of the trained token; past their end, that of the token which should be there."""
    side = 0 if token < length else 1
    return next((at for at, pair in enumerate(pairs) if pair[side] == token), None)


def _rows(pairs: Sequence[Pair], centre: int) -> Iterator[tuple[int, int]]:
    """(pair, how many are left out after it): of many untrained tokens only the first and last."""
    run: list[int] = []
    for at in range(len(pairs) + 1):
        if at < len(pairs) and pairs[at][0] is None and at != centre:
            run.append(at)
            continue
        left_out = len(run) - GAP_HEAD - GAP_TAIL
        if left_out > 1:
            yield from ((pair, 0) for pair in run[: GAP_HEAD - 1])
            yield run[GAP_HEAD - 1], left_out
            run = run[-GAP_TAIL:]
        yield from ((pair, 0) for pair in run)
        run = []
        if at < len(pairs):
            yield at, 0


def _token(
    pair: Pair,
    further: int,
    trained: TrainingSequence | None,
    wanted: Sequence[int],
    vocabulary: Sequence[str],
) -> TokenPlace:
    place, other = pair
    wanted_id = None if other is None else wanted[other]
    wanted_text = _text(wanted_id, vocabulary)
    if trained is None or place is None:
        return TokenPlace(
            wanted_id=wanted_id, wanted_text=wanted_text, differs=True, further=further
        )
    id = trained.ids[place]
    span = next((span for span in trained.spans if span.start <= place < span.stop), None)
    attended = _at(trained.attended, place)
    return TokenPlace(
        place=place,
        id=id,
        text=_text(id, vocabulary),
        role=span.role if span else None,
        turn=span.turn if span else None,
        in_loss=bool(trained.loss_mask[place]),
        attended=None if attended is None else bool(attended),
        sampler_logprob=_at(trained.sampler_logprobs, place),
        trainer_logprob=_at(trained.trainer_logprobs, place),
        wanted_id=wanted_id,
        wanted_text=wanted_text,
        differs=wanted_id != id,
    )


def _text(id: int | None, vocabulary: Sequence[str]) -> str | None:
    return vocabulary[id] if id is not None and 0 <= id < len(vocabulary) else None


def _at(values: Sequence[_T] | None, at: int) -> _T | None:
    return values[at] if values is not None and at < len(values) else None
