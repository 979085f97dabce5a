"""In which order rollouts call their tools, and how they end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.calls import Calls
from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.analysis.within import step_means

PATTERN_CALLS = 8
"""Calls of a pattern that are told apart; longer ones go on with MORE."""
MORE = "…"

ENDS = ("answer", "unparsed call", "no answer")
"""How a rollout ends: in a turn without a call, in one whose text opens a call that nobody parsed,
or in a call, as at a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """An order of calls and its end, as retrieve, retrieve, answer.

    `early` and `late` are its shares of the rollouts of the first and of the last third of the
    steps, `by_step` that of each. `reward` is the mean, None where none was recorded.
    """

    calls: tuple[str, ...]
    end: str
    rollouts: int
    share: float
    early: float
    late: float
    reward: float | None
    by_step: tuple[tuple[int, float], ...]

    @property
    def text(self) -> str:
        """The pattern in one line."""
        return " > ".join((*self.calls, self.end))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The rollouts with one order of calls, places in `Calls.names`, and one end, a place in ENDS.

    The order has one call more than are told apart at most.
    """

    tools: tuple[int, ...]
    end: int
    rows: Ints


def orders_of(calls: Calls, turns: Floats, unparsed: Mask) -> tuple[Order, ...]:
    """Every order, the most frequent first; rollouts whose calls could not be read left out.

    `turns` counts the assistant turns, `unparsed` says that a call in the text was not parsed.
    Shape (rollouts,) each.
    """
    rows: dict[tuple[tuple[int, ...], int], list[int]] = {}
    ends = _ends(calls, turns, unparsed)
    for row, order in enumerate(_sequences(calls)):
        if calls.known[row]:
            rows.setdefault((tuple(order), ends[row]), []).append(row)
    return tuple(
        Order(tools=tools, end=end, rows=np.array(members, dtype=np.int64))
        for (tools, end), members in sorted(rows.items(), key=lambda one: (-len(one[1]), one[0]))
    )


def patterns_of(
    orders: Sequence[Order], calls: Calls, *, step: Ints, reward: Floats
) -> tuple[Pattern, ...]:
    """What there is to say of each of these orders, in their order. Shape (rollouts,) each."""
    early, late = (calls.known & third for third in _thirds(step))
    read = max(int(calls.known.sum()), 1)
    begun, done = max(int(early.sum()), 1), max(int(late.sum()), 1)
    found = []
    for order in orders:
        rewards = reward[order.rows]
        rewards = rewards[np.isfinite(rewards)]
        hits = np.zeros(calls.rollouts, np.bool_)
        hits[order.rows] = True
        found.append(
            Pattern(
                calls=_named(calls.names, order.tools),
                end=ENDS[order.end],
                rollouts=len(order.rows),
                share=len(order.rows) / read,
                early=int((hits & early).sum()) / begun,
                late=int((hits & late).sum()) / done,
                reward=float(rewards.mean()) if len(rewards) else None,
                by_step=tuple(step_means(step, hits, calls.known)),
            )
        )
    return tuple(found)


def _named(names: Sequence[str], sequence: Sequence[int]) -> tuple[str, ...]:
    shown = tuple(names[tool] for tool in sequence[:PATTERN_CALLS])
    return shown if len(sequence) <= PATTERN_CALLS else (*shown, MORE)


def _sequences(calls: Calls) -> list[list[int]]:
    """The tools of each rollout in order, one more than are told apart at most."""
    found: list[list[int]] = [[] for _ in range(calls.rollouts)]
    for row, tool in zip(calls.row.tolist(), calls.tool.tolist(), strict=True):
        if len(found[row]) <= PATTERN_CALLS:
            found[row].append(tool)
    return found


def _ends(calls: Calls, turns: Floats, unparsed: Mask) -> list[int]:
    """The place of each rollout's end in ENDS."""
    last = np.full(calls.rollouts, -1)
    np.maximum.at(last, calls.row, calls.turn)
    spoke_after = last < turns - 1
    ends: list[int] = np.where(spoke_after, np.where(unparsed, 1, 0), 2).tolist()
    return ends


def _thirds(step: Ints) -> tuple[Mask, Mask]:
    """The rollouts of the first and of the last third of the steps, of one step at least."""
    steps = np.unique(step)
    if not len(steps):
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    third = max(len(steps) // 3, 1)
    return np.asarray(step <= steps[third - 1]), np.asarray(step >= steps[-third])
