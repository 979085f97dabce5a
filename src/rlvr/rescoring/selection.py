"""Which recorded rollouts are scored anew, and which can't be."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rlvr.codec import unpack
from rlvr.errors import ConfigurationError
from rlvr.record import Mode, Trajectory
from rlvr.runs import Run

T = TypeVar("T")

NO_MESSAGES = "they have no messages, which were pruned or never recorded"
UNFINISHED = "they ended with an error and were never scored"
UNREADABLE = "they can't be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rollouts of one mode by step: `ids` of those chosen, out of `of`."""

    mode: Mode
    ids: Mapping[int, frozenset[str]]
    of: int

    @property
    def count(self) -> int:
        """How many are chosen."""
        return sum(map(len, self.ids.values()))

    @property
    def steps(self) -> tuple[int, int]:
        """The first and the last step."""
        return min(self.ids), max(self.ids)


def select(
    run: Run,
    *,
    mode: Mode | None,
    step: int | range | None,
    limit: int | None,
    where: str | None = None,
) -> Selection:
    """At most `limit` rollouts, spread evenly over the steps, the same each time.

    Without a mode: those trained on, else the evaluated ones. Superseded rows are left out.

    Raises:
        ConfigurationError: there is none; the message says which there are. Or the expression
            `where` is wrong.
    """
    modes = [mode] if mode is not None else [Mode.TRAIN, Mode.EVAL]
    for one in modes:
        found: dict[int, list[str]] = {}
        table = run.to_arrow(["id", "step"], mode=one, step=step, where=where)
        packed: list[Any] = table["id"].to_pylist()
        at_steps: list[Any] = table["step"].to_pylist()
        for id, at in zip(packed, at_steps, strict=True):
            found.setdefault(at, []).append(unpack(id))
        if found:
            counts = spread({at: len(ids) for at, ids in found.items()}, limit)
            chosen = {at: frozenset(evenly(ids, counts[at])) for at, ids in found.items()}
            return Selection(
                mode=one,
                ids={at: ids for at, ids in sorted(chosen.items()) if ids},
                of=table.num_rows,
            )
    raise ConfigurationError(_nothing(run, mode, step, where))


def spread(sizes: Mapping[int, int], limit: int | None) -> dict[int, int]:
    """How many of each step, at most `limit` in all: as equally as their sizes allow."""
    if limit is None or limit >= sum(sizes.values()):
        return dict(sizes)
    counts, left = dict.fromkeys(sizes, 0), limit
    while left:
        open_steps = [step for step in sizes if counts[step] < sizes[step]]
        each = left // len(open_steps)
        for step in open_steps if each else evenly(open_steps, left):
            added = min(max(each, 1), sizes[step] - counts[step])
            counts[step] += added
            left -= added
    return counts


def evenly(entries: Sequence[T], count: int) -> list[T]:
    """`count` of the entries, or all that there are, at equal distances, in order."""
    taken = min(count, len(entries))
    return [entries[at * len(entries) // taken] for at in range(taken)]


def chosen(run: Run, selection: Selection, skipped: Counter[str]) -> Iterator[Trajectory]:
    """The rollouts that can be scored, one at a time; the others are counted by reason."""
    first, last = selection.steps
    seen = 0
    # One pass looks at the run's annotations once; a sample is not worth reading all rollouts.
    whole = 2 * selection.count > selection.of
    spans = [range(first, last + 1)] if whole else [range(at, at + 1) for at in selection.ids]
    for span in spans:
        for trajectory in run.trajectories(mode=selection.mode, step=span, tokens=False):
            if trajectory.id not in selection.ids.get(trajectory.step, ()):
                continue
            seen += 1
            reason = _unscorable(trajectory)
            if reason is None:
                yield trajectory
            else:
                skipped[reason] += 1
    if seen < selection.count:
        skipped[UNREADABLE] += selection.count - seen


def _unscorable(trajectory: Trajectory) -> str | None:
    if not trajectory.messages:
        return NO_MESSAGES
    if trajectory.errors and trajectory.reward is None and not trajectory.components:
        return UNFINISHED
    return None


def _nothing(run: Run, mode: Mode | None, step: int | range | None, where: str | None) -> str:
    steps = {one: run.steps(one) for one in Mode}
    there = [f"{one} of steps {at[0]} to {at[-1]}" for one, at in steps.items() if at]
    which = f"{mode} rollouts" if mode is not None else "rollouts"
    if step is None:
        asked = ""
    elif isinstance(step, int):
        asked = f" of step {step}"
    else:
        asked = f" of steps {step.start} to {step.stop - 1}"
    if where is not None:
        asked += f" where {where}"
    return (
        f"run {run.id} has no {which}{asked}. It has {' and '.join(there) or 'none at all'}."
        " Choose with --mode, --step, --steps and --where."
    )
