"""The rollouts of one prompt, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from rlvr.record import RunInfo, Trajectory
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import NOT_RECORDED, heading, joined, number, one_line, plural

WIDE = 110
"""Columns from which on a line has room for whole ids beside numbers."""


def group_view(
    siblings: Sequence[Trajectory], *, info: RunInfo | None = None, run: str = "RUN"
) -> Group:
    """One group: its question, and a row for each rollout, best reward first."""
    return Group(*_page(siblings, info, run))


def group_section(
    siblings: Sequence[Trajectory], *, marked: str | None, size: int | None
) -> Iterator[RenderableType]:
    """The siblings as a table, best reward first, the rollout with the id `marked` pointed at."""
    count = f"{len(siblings)}/{size} recorded" if size else plural(len(siblings), "rollout")
    yield heading("Its group", count)
    yield _Siblings(siblings, marked)


def _page(
    siblings: Sequence[Trajectory], info: RunInfo | None, run: str
) -> Iterator[RenderableType]:
    first = siblings[0]
    size = info.num_generations if info else None
    yield Text(one_line(first.group_id, 200), style="bold")
    parts = (f"{first.mode}", f"step {first.step}", f"batch {first.batch}")
    count = f"{len(siblings)}/{size} rollouts" if size else plural(len(siblings), "rollout")
    yield Text(joined((*parts, count)))
    yield layout.facts(
        (
            ("question", _text(first.question)),
            ("answer", _text(first.answer)),
        )
    )
    yield Text()
    yield _Siblings(siblings, None)
    rewards = {sibling.reward for sibling in siblings}
    if len(siblings) > 1 and len(rewards) == 1:
        yield layout.warning("all rewards are equal: this group has no gradient")
    yield heading("Next")
    best = max(siblings, key=_rank)
    yield layout.command(f"rlvr show {run} {best.id}", "its best rollout")


@dataclass(frozen=True, slots=True)
class _Siblings:
    """A row for each rollout. Where the line is short, ids lose the beginning they all share."""

    siblings: Sequence[Trajectory]
    marked: str | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shared = "" if options.max_width >= WIDE else _shared_stem(self.siblings)
        if shared:
            yield Text(f"ids begin with {shared}", style="dim")
        columns = ("", "sample", "reward", "advantage", "turns", "calls", "tokens", "stop", "id")
        shown = layout.table(*columns, left=("", "stop", "id"))
        for sibling in sorted(self.siblings, key=_rank, reverse=True):
            here = sibling.id is not None and sibling.id == self.marked
            shown.add_row(
                "▶" if here else " ", *_row(sibling, shared), style="bold" if here else ""
            )
        yield shown


def _row(sibling: Trajectory, shared: str) -> Iterator[RenderableType]:
    yield str(sibling.sample)
    yield number(sibling.reward)
    yield number(sibling.advantage, sign=True)
    yield str(sum(message.role == "assistant" for message in sibling.completion))
    yield str(len(sibling.tool_calls))
    yield number(sibling.evidence.sampled_tokens)
    yield Text(one_line(sibling.stop_reason or NOT_RECORDED, 18))
    yield Text("…" + sibling.id.removeprefix(shared) if shared and sibling.id else str(sibling.id))


def _shared_stem(siblings: Sequence[Trajectory]) -> str:
    """What the ids share up to their last "-": the file they lie in; "" if they differ in it."""
    stems = {(sibling.id or "").rpartition("-")[0] for sibling in siblings}
    return stems.pop() if len(stems) == 1 else ""


def _rank(trajectory: Trajectory) -> tuple[float, int]:
    reward = trajectory.reward
    ranked = float("-inf") if reward is None or reward != reward else reward  # noqa: PLR0124 - NaN
    return ranked, -trajectory.sample


def _text(text: str | None) -> Text | None:
    return None if text is None else Text(one_line(text, 400))
