"""`/r/RUN/g/GROUP`: why did siblings differ?"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.analysis.advantage import AdvantageArithmetic, advantage_arithmetic
from rlvr.errors import RecordNotFound
from rlvr.questions.siblings import Siblings, judged_siblings
from rlvr.record import Mode, Part, Trajectory
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.indexing import indexed
from rlvr.viewer.neighbours import steps_beside
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.side import Column, side_by_side
from rlvr.views.web import Crumb, Page

_SHOWN = 12
"""Columns of one page."""

_WITH_TOKENS = 64
"""Rollouts of a group whose tokens are read."""

_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """Where rollouts of the group are: one batch of one attempt."""

    mode: Mode
    step: int
    batch: int
    attempt: int
    size: int
    superseded: bool


def group_page(desk: Desk, asked: Asked) -> Page:
    """The rollouts of one group in one batch, best first, with the first turn and the first token
    at which each leaves the best.

    Of several batches the newest that counts, or that of `split`, `step` and `attempt`.

    Raises:
        RecordNotFound: there is no such group, or not there.
    """
    if not indexed(desk):
        return waiting(desk, "reading the rollouts", tab="")
    group_id = asked.part("group")
    visits = _visits(desk, group_id)
    visit = _chosen(group_id, visits, asked)
    members = _members(desk, group_id, visit)
    judged = judged_siblings(desk.run, members)
    first = asked.number("from", 0)
    some = judged.siblings[first : first + _SHOWN]
    if first:
        some = (judged.siblings[0], *(one for one in some if one is not judged.siblings[0]))
    columns = _columns(desk, members, judged, [one.id for one in some])
    side = side_by_side(columns)
    return Page(
        template="group.html",
        title=f"group {members[0].group_id}",
        places=desk.places,
        crumbs=(
            *desk.crumbs,
            Crumb(
                f"step {visit.step}",
                url=desk.places.of_step(visit.step, split=visit.mode.value),
                key="g s",
            ),
            Crumb(group_id),
        ),
        command=f"rlvr contrast {desk.argument} --group {shlex.quote(group_id)}",
        export=desk.places.of_group(
            group_id, split=visit.mode.value, step=visit.step, attempt=visit.attempt, export=1
        ),
        live=True,
        values={
            "group_id": members[0].group_id,
            "visit": visit,
            "others": [_other(desk, group_id, one) for one in visits if one is not visit],
            "size": _size(desk, len(members)),
            "partial": _partial(desk, len(members)),
            "question": judged.question,
            "answer": members[0].answer,
            "example": members[0].example_id,
            "around": _around(desk, members[0]),
            "measure": judged.measure,
            "flat": _flat(members),
            "side": side,
            "compare": _compare(desk, side["columns"]),
            "pages": _pages(desk, group_id, visit, first, len(members)),
            "total": len(members),
            "pruned": _pruned(desk, visit.step),
        },
    )


def _visits(desk: Desk, group_id: str) -> list[_Visit]:
    """Every batch that has the group, the newest that counts first."""
    quoted = group_id.replace("'", "''")
    where = f"group_id = '{quoted}'"
    with desk.lock:
        index = desk.run.index
        rows = index.page(where, limit=_MOST, superseded=True).rows
        current = {row["id"] for row in index.page(where, limit=_MOST).rows}
    found: dict[tuple[str, int, int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["mode"], row["step"], row["batch"], row["attempt"])
        found.setdefault(key, []).append(row)
    visits = [
        _Visit(
            mode=Mode(mode),
            step=step,
            batch=batch,
            attempt=attempt,
            size=len(own),
            superseded=own[0]["id"] not in current,
        )
        for (mode, step, batch, attempt), own in found.items()
    ]
    return sorted(
        visits, key=lambda one: (one.superseded, -one.attempt, -one.step, -one.batch, one.mode)
    )


def _chosen(group_id: str, visits: Sequence[_Visit], asked: Asked) -> _Visit:
    if not visits:
        raise RecordNotFound(f"no group {group_id!r}; the page of a step lists its groups.")
    mode = asked.mode()
    step = asked.number("step", -1, low=-1)
    attempt = asked.number("attempt", -1, low=-1)
    for one in visits:
        if mode in (None, one.mode) and step in (-1, one.step) and attempt in (-1, one.attempt):
            return one
    there = ", ".join(f"{one.mode} step {one.step}, attempt {one.attempt}" for one in visits[:5])
    raise RecordNotFound(f"group {group_id!r} is not there; it is at {there}.")


def _members(desk: Desk, group_id: str, visit: _Visit) -> list[Trajectory]:
    found = desk.run.trajectories(
        mode=visit.mode,
        step=visit.step,
        group=group_id,
        superseded=True,
        tokens=visit.size <= _WITH_TOKENS,
    )
    members = [one for one in found if one.attempt == visit.attempt and one.batch == visit.batch]
    if not members:
        raise RecordNotFound(
            f"group {group_id!r} can't be read: `rlvr check` says what is damaged."
        )
    return members


def _columns(
    desk: Desk, members: Sequence[Trajectory], judged: Siblings, ids: Sequence[str]
) -> list[Column]:
    by_id = {member.id: member for member in members}
    info, vocabulary = desk.run.info, desk.run.vocabulary()
    won = {sibling.id: sibling.success for sibling in judged.siblings}
    told = any(won.values())  # where none succeeds, they are alike or nobody scored them
    return [
        Column(
            trajectory=by_id[id],
            places=desk.places,
            label=f"sample {by_id[id].sample}",
            success=won[id] if told else None,
            advantage=_advantage(desk, by_id[id], members),
            weights=info.components if info else None,
            vocabulary=vocabulary,
        )
        for id in ids
    ]


def _advantage(
    desk: Desk, member: Trajectory, members: Sequence[Trajectory]
) -> AdvantageArithmetic | None:
    """How the advantage follows from the group; None in an evaluation, which has none."""
    if member.mode is not Mode.TRAIN:
        return None
    info = desk.run.info
    return advantage_arithmetic(
        reward=member.reward,
        rewards=[one.reward for one in members],
        recorded=member.advantage,
        scale_rewards=info.scale_rewards if info else None,
        group_size=info.num_generations if info else None,
    )


def _other(desk: Desk, group_id: str, visit: _Visit) -> dict[str, Any]:
    url = desk.places.of_group(
        group_id, split=visit.mode.value, step=visit.step, attempt=visit.attempt
    )
    return {"of": visit, "url": url}


def _around(desk: Desk, member: Trajectory) -> dict[str, str]:
    """The URLs of a group of the step before and of the one after: of the same example, if any."""
    steps = steps_beside(desk.run, member)
    return {
        name: ""
        if one is None
        else desk.places.of_group(one.group_id, split=member.mode.value, step=one.step)
        for name, one in (("before", steps.before), ("after", steps.after))
    }


def _size(desk: Desk, count: int) -> str:
    whole = desk.run.info.num_generations if desk.run.info else None
    return f"{count:,}/{whole:,}" if whole else f"{count:,}"


def _partial(desk: Desk, count: int) -> bool:
    whole = desk.run.info.num_generations if desk.run.info else None
    return whole is not None and count < whole


def _flat(members: Sequence[Trajectory]) -> bool:
    return len(members) > 1 and len({member.reward for member in members}) == 1


def _compare(desk: Desk, heads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each rollout the URL that sets it beside the best; the best one beside the worst."""
    ids = [head["of"].id or "" for head in heads]
    if len(ids) < 2:
        return [""] * len(ids)
    return [desk.places.of_pair(ids[0], one) for one in (ids[-1], *ids[1:])]


def _pages(desk: Desk, group_id: str, visit: _Visit, first: int, total: int) -> dict[str, str]:
    def url(start: int) -> str:
        return desk.places.of_group(
            group_id,
            split=visit.mode.value,
            step=visit.step,
            attempt=visit.attempt,
            **{"from": start or None},
        )

    return {
        "before": url(max(first - _SHOWN, 0)) if first else "",
        "after": url(first + _SHOWN) if first + _SHOWN < total else "",
    }


def _pruned(desk: Desk, step: int) -> bool:
    return step in desk.run.pruning().steps_without(Part.MESSAGES)
