"""Where rollouts of one prompt part: in what they did, in what came back, and in their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from rlvr.analysis.columns import Ints
from rlvr.analysis.contrast.actions import Action
from rlvr.record import Message, TrainingSequence, Trajectory

Turns = Sequence[Sequence[Action]]
"""The actions of a rollout by turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenParting:
    """The first token at which the training sequences of two rollouts differ, all from 0: its
    sequence, the place in it, its turn (-1 in the prompt), and the ids there, None past the end of
    one or where it has no such sequence."""

    sequence: int
    token: int
    turn: int | None
    first_id: int | None
    own_id: int | None


def parts_at(first: Turns, own: Turns) -> int | None:
    """The first turn in which the two do not do the same, or one has ended; None without one."""
    for turn in range(max(len(first), len(own))):
        sides = [_signs(side, turn) for side in (first, own)]
        if sides[0] != sides[1]:
            return turn
    return None


def twins(siblings: Sequence[Turns]) -> list[int | None]:
    """Of each the place of an earlier one that did exactly the same; None where none did."""
    seen: dict[tuple[tuple[tuple[str, str], ...], ...], int] = {}
    found: list[int | None] = []
    for at, own in enumerate(siblings):
        signs = tuple(tuple(action.signature for action in turn) for turn in own)
        found.append(seen.get(signs))
        seen.setdefault(signs, at)
    return found


def replies(trajectory: Trajectory) -> tuple[tuple[Message, ...], ...]:
    """What came back after each turn: the messages up to the next one of the assistant."""
    found: list[list[Message]] = []
    for message in trajectory.completion:
        if message.role == "assistant":
            found.append([])
        elif found:
            found[-1].append(message)
    return tuple(map(tuple, found))


def same_replies(first: Sequence[Message], own: Sequence[Message]) -> bool:
    """Whether the same came back, whatever the calls are numbered."""
    return [(one.role, one.text) for one in first] == [(one.role, one.text) for one in own]


def token_parting(first: Trajectory, own: Trajectory) -> TokenParting | None:
    """Where the tokens that were trained of two rollouts part: in their first training sequence
    that is not the same.

    None where all are the same, or where one has no token details.
    """
    if first.tokens is None or own.tokens is None:
        return None
    pairs = zip_longest(first.tokens.sequences, own.tokens.sequences)
    for at, (left, right) in enumerate(pairs):
        found = _sequence_parting(at, left, right)
        if found is not None:
            return found
    return None


def _sequence_parting(
    at: int, left: TrainingSequence | None, right: TrainingSequence | None
) -> TokenParting | None:
    ids = [np.asarray(side.ids if side else (), np.int64) for side in (left, right)]
    shorter = min(map(len, ids))
    unlike = np.flatnonzero(ids[0][:shorter] != ids[1][:shorter])
    if not len(unlike) and len(ids[0]) == len(ids[1]):
        return None
    token = int(unlike[0]) if len(unlike) else shorter
    longer = right if len(ids[1]) > token else left
    spans = longer.spans if longer else ()
    return TokenParting(
        sequence=at,
        token=token,
        turn=next((span.turn for span in spans if span.start <= token < span.stop), None),
        first_id=_at(ids[0], token),
        own_id=_at(ids[1], token),
    )


def _at(ids: Ints, token: int) -> int | None:
    return int(ids[token]) if token < len(ids) else None


def _signs(side: Turns, turn: int) -> tuple[tuple[str, str], ...] | None:
    return tuple(action.signature for action in side[turn]) if turn < len(side) else None
