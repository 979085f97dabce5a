"""Where rollouts of one prompt part: in what they did, in what came back, and in their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.contrast.actions import Action
from rlvr.record import Message, Trajectory

Turns = Sequence[Sequence[Action]]
"""The actions of a rollout by turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenParting:
    """The first token at which two training sequences differ, from 0: its turn (-1 in the prompt),
    and the ids there, None past the end of one."""

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


def token_parting(first: Trajectory, own: Trajectory, *, sequence: int = 0) -> TokenParting | None:
    """Where the tokens that were trained of two rollouts part, in one of their sequences.

    None where they are the same, or where one has no token details.
    """
    details = [one.tokens.sequences if one.tokens else () for one in (first, own)]
    if any(len(sequences) <= sequence for sequences in details):
        return None
    left, right = (np.asarray(sequences[sequence].ids) for sequences in details)
    shorter = min(len(left), len(right))
    unlike = np.flatnonzero(left[:shorter] != right[:shorter])
    if not len(unlike) and len(left) == len(right):
        return None
    token = int(unlike[0]) if len(unlike) else shorter
    longer = details[1 if len(right) > token else 0][sequence]
    turn = next((span.turn for span in longer.spans if span.start <= token < span.stop), None)
    return TokenParting(
        token=token,
        turn=turn,
        first_id=int(left[token]) if token < len(left) else None,
        own_id=int(right[token]) if token < len(right) else None,
    )


def _signs(side: Turns, turn: int) -> tuple[tuple[str, str], ...] | None:
    return tuple(action.signature for action in side[turn]) if turn < len(side) else None
