"""Actions of siblings beside each other, and where they part."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rlvr.analysis.contrast.actions import Action

MOST = 400
"""Actions of a rollout that are aligned; matching is quadratic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedRow:
    """An action of each of two rollouts; None where one has nothing there."""

    left: Action | None
    right: Action | None

    @property
    def same(self) -> bool:
        """Whether both did the same."""
        if self.left is None or self.right is None:
            return False
        return self.left.signature == self.right.signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """One rollout of a group: its value of the measure, None if nobody scored it, and actions."""

    id: str
    sample: int
    value: float | None
    reward: float | None
    success: bool
    actions: tuple[Action, ...]


def aligned_actions(left: Sequence[Action], right: Sequence[Action]) -> tuple[AlignedRow, ...]:
    """The first MOST actions of both, in order, the same beside each other."""
    ours, theirs = left[:MOST], right[:MOST]
    left_signs, right_signs = ([action.signature for action in side] for side in (ours, theirs))
    matcher = SequenceMatcher(None, left_signs, right_signs, autojunk=False)
    rows: list[AlignedRow] = []
    for _, a0, a1, b0, b1 in matcher.get_opcodes():
        for at in range(max(a1 - a0, b1 - b0)):
            rows.append(
                AlignedRow(
                    left=ours[a0 + at] if a0 + at < a1 else None,
                    right=theirs[b0 + at] if b0 + at < b1 else None,
                )
            )
    return tuple(rows)


def first_difference(rows: Sequence[AlignedRow]) -> int | None:
    """The first row in which the two part; None where they never do."""
    return next((at for at, row in enumerate(rows) if not row.same), None)


def by_turn(done: Sequence[Action]) -> tuple[tuple[Action, ...], ...]:
    """The actions of each turn; a turn without any is empty."""
    turns: list[list[Action]] = []
    for action in done:
        turns.extend([] for _ in range(action.turn + 1 - len(turns)))
        turns[action.turn].append(action)
    return tuple(map(tuple, turns))


def common_prefix(siblings: Sequence[Sequence[Sequence[Action]]]) -> int:
    """How many turns all of them begin with alike, each given by turn; 0 without any rollout."""
    length = 0
    for together in zip(*siblings, strict=False):
        if len({tuple(action.signature for action in turn) for turn in together}) > 1:
            break
        length += 1
    return length
