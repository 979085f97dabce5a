"""Rollouts side by side, turn by turn: the values that their columns show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.analysis.advantage import AdvantageArithmetic
from rlvr.analysis.contrast import (
    Action,
    TokenParting,
    actions,
    by_turn,
    common_prefix,
    parts_at,
    replies,
    same_replies,
    token_parting,
    twins,
)
from rlvr.analysis.reward import reward_arithmetic
from rlvr.record import Message, Trajectory
from rlvr.utils.places import token_anchor, turn_anchor
from rlvr.utils.text import one_line
from rlvr.views.terminal.text import number
from rlvr.views.web import Places

MOST_TURNS = 100
_REPLY_CHARS = 240
_TOKEN_CHARS = 24
_VISIBLE = str.maketrans({"\n": "⏎", "\t": "⇥", "\r": "␍", " ": "␣"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One rollout: `label` is what the page calls it, `vocabulary` has the texts of its tokens."""

    trajectory: Trajectory
    places: Places
    label: str
    success: bool | None = None
    advantage: AdvantageArithmetic | None = None
    weights: Mapping[str, float] | None = None
    vocabulary: Sequence[str] = ()

    def url(self, turn: int | None = None) -> str:
        """Its page, at a turn of it; at the last one where it has fewer."""
        id = self.trajectory.id or ""
        turns = sum(message.role == "assistant" for message in self.trajectory.completion)
        if turn is None or not turns:
            return self.places.of_trajectory(id)
        at = min(turn, turns - 1)
        return self.places.of_trajectory(id, turn_anchor(at), turn=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """What each rollout did and what came back, by turn; where it leaves the first, and which
    earlier one did the same."""

    columns: Sequence[Column]
    done: Sequence[Sequence[Sequence[Action]]]
    came: Sequence[Sequence[Sequence[Message]]]
    parted: Sequence[int | None]
    twins: Sequence[int | None]

    def reply(self, at: int, turn: int) -> Sequence[Message]:
        """What came back to a rollout after a turn."""
        return self.came[at][turn] if turn < len(self.came[at]) else ()

    def other_replies(self, at: int) -> bool:
        """Whether something else came back to it than to the first."""
        pairs = zip(self.came[0], self.came[at], strict=False)
        return any(not same_replies(first, own) for first, own in pairs)


def side_by_side(columns: Sequence[Column]) -> dict[str, Any]:
    """What the templates show of these rollouts, the first of which the others are set beside.

    Turns that all begin with alike stand once, in `prefix`; the rows after them have a cell for
    each rollout. `parting` is the first turn that is not the same, None where all do the same.
    """
    done = [by_turn(actions(column.trajectory)) for column in columns]
    side = _Side(
        columns=columns,
        done=done,
        came=[replies(column.trajectory) for column in columns],
        parted=[parts_at(done[0], own) for own in done],
        twins=twins(done),
    )
    longest = max((len(own) for own in done), default=0)
    common = common_prefix(done)
    alone, places = len(columns) < 2, range(len(columns))
    alike = not alone and all(parted is None for parted in side.parted)
    return {
        "columns": [_head(side, at) for at in places],
        "components": _components(columns),
        "prefix": [_prefix(side, turn) for turn in range(common)],
        "rows": [
            {
                "turn": turn,
                "parting": turn == common and not alone,
                "cells": [_cell(side, at, turn) for at in places],
            }
            for turn in range(common, min(longest, common + MOST_TURNS))
        ],
        "further": max(longest - common - MOST_TURNS, 0),
        "parting": None if alike or alone else common,
        "alike": alike,
        "word_for_word": alike and _word_for_word(columns),
        "replies_differ": alike and any(map(side.other_replies, places)),
        "with_tokens": any(column.trajectory.tokens is not None for column in columns),
    }


def _word_for_word(columns: Sequence[Column]) -> bool:
    first = _texts(columns[0].trajectory)
    return all(_texts(column.trajectory) == first for column in columns[1:])


def _texts(trajectory: Trajectory) -> list[tuple[str, str, tuple[tuple[str | None, str], ...]]]:
    return [
        (message.role, message.text, tuple((c.name, c.arguments) for c in message.tool_calls))
        for message in trajectory.completion
    ]


def _components(columns: Sequence[Column]) -> list[str]:
    """The names of all components, in the order in which they first appear."""
    names = (part.name for column in columns for part in column.trajectory.components)
    return list(dict.fromkeys(names))


def _head(side: _Side, at: int) -> dict[str, Any]:
    column, parted, twin = side.columns[at], side.parted[at], side.twins[at]
    own = column.trajectory
    return {
        "of": own,
        "label": column.label,
        "place": at,
        "url": column.url(),
        "success": column.success,
        "values": {part.name: part for part in own.components},
        "reward": reward_arithmetic(own, column.weights),
        "advantage": column.advantage,
        "turns": len(side.done[at]),
        "twin": twin,
        "parts_at": parted,
        "parts_url": "" if parted is None else column.url(parted),
        "other_replies": twin == 0 and side.other_replies(at),
        "token": _token(side.columns[0], column) if at else None,
    }


def _token(first: Column, column: Column) -> dict[str, Any] | None:
    """The first token that is another than the first rollout's, and the way to it."""
    if list(first.vocabulary) != list(column.vocabulary):
        return None
    found = token_parting(first.trajectory, column.trajectory)
    if found is None:
        return None
    return {
        "at": found,
        "own": _spelt(found.own_id, column),
        "first": _spelt(found.first_id, first),
        "url": _token_url(column, found, found.own_id),
        "first_url": _token_url(first, found, found.first_id),
        "where": _where(found),
    }


def _token_url(column: Column, found: TokenParting, own: int | None) -> str:
    """The token where it is there, else the tokens of its rollout."""
    id = column.trajectory.id or ""
    if own is None:
        return column.places.of_tokens(id)
    anchor = token_anchor(found.sequence, found.token)
    return column.places.of_tokens(id, anchor, at=f"{found.sequence}:{found.token}")


def _where(found: TokenParting) -> str:
    said = f"sequence {found.sequence}, " if found.sequence else ""
    said += f"token {found.token:,}"
    if found.turn is None:
        return said
    return f"{said}, {'prompt' if found.turn < 0 else f'turn {found.turn}'}"


def _spelt(id: int | None, column: Column) -> str:
    """The token's text in quotes, else its number."""
    if id is None:
        return "the end"
    text = column.vocabulary[id] if 0 <= id < len(column.vocabulary) else ""
    return f"“{one_line(text.translate(_VISIBLE), _TOKEN_CHARS)}”" if text else f"id {number(id)}"


def _prefix(side: _Side, turn: int) -> dict[str, Any]:
    """A turn that all share: what they did, and what came back, which may not be the same."""
    answers: dict[str, list[Column]] = {}
    for at, column in enumerate(side.columns):
        text = "\n".join(message.text for message in side.reply(at, turn))
        answers.setdefault(text, []).append(column)
    first = side.columns[0]
    return {
        "turn": turn,
        "actions": [action.shown for action in side.done[0][turn]],
        "url": first.url(turn),
        "replies": [
            {
                "text": text,
                "columns": [{"label": one.label, "url": one.url(turn)} for one in who],
            }
            for text, who in answers.items()
        ],
    }


def _cell(side: _Side, at: int, turn: int) -> dict[str, Any]:
    """One rollout's turn. `state`: same (as the first, as all before it), parts (its first turn
    that is another), reply (the same was done and something else came back), other, ended."""
    own = side.done[at]
    if turn >= len(own):
        return {"state": "parts" if side.parted[at] == turn else "ended", "ended": True}
    column = side.columns[at]
    return {
        "state": _state(side, at, turn),
        "ended": False,
        "url": column.url(turn),
        "actions": [action.shown for action in own[turn]],
        "replies": [one_line(message.text, _REPLY_CHARS) for message in side.reply(at, turn)],
        "errors": [
            one_line(result.error, _REPLY_CHARS)
            for result in column.trajectory.tool_results
            if result.turn == turn and result.error is not None
        ],
    }


def _state(side: _Side, at: int, turn: int) -> str:
    parted = side.parted[at]
    if not at:
        return "first"
    if parted is None or turn < parted:
        return "same" if same_replies(side.reply(0, turn), side.reply(at, turn)) else "reply"
    return "parts" if turn == parted else "other"
