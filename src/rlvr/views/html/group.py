"""The rollouts of one prompt, and where they part."""

from collections.abc import Sequence

from rlvr.analysis.contrast import actions, by_turn, common_prefix
from rlvr.analysis.contrast.actions import Action
from rlvr.record import RunInfo, Trajectory
from rlvr.views.html.markup import Html, commands, element, facts, heading, page, table
from rlvr.views.terminal.text import NOT_RECORDED, joined, number, one_line, plural


def group_html(
    siblings: Sequence[Trajectory], *, info: RunInfo | None = None, run: str = "RUN"
) -> str:
    """The rollouts as a table, best reward first, each with what it did where they first differ.

    `run` is how commands call the run.
    """
    if not siblings:
        return page(element("div", "a group without rollouts", kind="note"))
    first = siblings[0]
    ranked = sorted(siblings, key=_rank, reverse=True)
    best = one_line(ranked[0].id or first.group_id, 200)
    size = info.num_generations if info else None
    count = f"{len(siblings)}/{size} rollouts" if size else plural(len(siblings), "rollout")
    return page(
        element("div", one_line(first.group_id, 200), kind="title"),
        element(
            "div",
            joined((f"{first.mode}", f"step {first.step}", f"batch {first.batch}", count)),
            kind="note",
        ),
        facts((("question", _said(first.question)), ("answer", _said(first.answer)))),
        *_flat(siblings),
        *_table(ranked),
        commands(
            [
                (f"rlvr show {run} {best}", "its best rollout"),
                (f"rlvr contrast {run} --group {one_line(first.group_id, 200)}", "turn by turn"),
            ]
        ),
    )


def _flat(siblings: Sequence[Trajectory]) -> list[Html]:
    if len(siblings) < 2 or len({sibling.reward for sibling in siblings}) > 1:
        return []
    said = "all rewards are equal: this group has no gradient"
    return [element("div", said, kind="bad")]


def _table(ranked: Sequence[Trajectory]) -> list[Html]:
    turns = [by_turn(actions(sibling)) for sibling in ranked]
    common = common_prefix(turns)
    part = f"turn {common}, where they part"
    alike = len(turns) < 2 or all(len(own) <= common for own in turns)
    columns = ["sample", "reward", "advantage", "turns", "calls", "tokens", "stop", "id"]
    if not alike:
        columns.append(part)
    rows = []
    for sibling, own in zip(ranked, turns, strict=True):
        row: list[str] = [*_row(sibling)]
        if not alike:
            row.append(_turn(own[common]) if common < len(own) else "it ended before")
        rows.append(row)
    note = "all do the same" if alike and len(turns) > 1 else "best reward first"
    return [heading("Rollouts", note), table(columns, rows, left=("stop", "id", part))]


def _row(sibling: Trajectory) -> tuple[str, ...]:
    return (
        str(sibling.sample),
        number(sibling.reward),
        number(sibling.advantage, sign=True),
        str(sum(message.role == "assistant" for message in sibling.completion)),
        str(len(sibling.tool_calls)),
        number(sibling.evidence.sampled_tokens),
        one_line(sibling.stop_reason or NOT_RECORDED, 40),
        one_line(sibling.id or "not written yet", 80),
    )


def _turn(turn: Sequence[Action]) -> str:
    return one_line(" + ".join(action.shown for action in turn[:20]) or "nothing", 300)


def _rank(trajectory: Trajectory) -> tuple[float, int]:
    reward = trajectory.reward
    ranked = float("-inf") if reward is None or reward != reward else reward  # noqa: PLR0124 - NaN
    return ranked, -trajectory.sample


def _said(text: str | None) -> str | None:
    return None if text is None else one_line(text, 1_000)
