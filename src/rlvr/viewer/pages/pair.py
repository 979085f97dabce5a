"""`/r/RUN/c`: two trajectories of a run side by side."""

import shlex
from collections.abc import Sequence

from rlvr.errors import ConfigurationError
from rlvr.record import Message, Trajectory
from rlvr.utils.conversation import shown_text
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.side import Column, side_by_side
from rlvr.views.web import Crumb, Page
from rlvr.views.web.differing import TextDifference, text_difference


def pair_page(desk: Desk, asked: Asked) -> Page:
    """The trajectories `a` and `b`, turn by turn.

    Raises:
        ConfigurationError: one is not named.
        RecordNotFound: one is not there.
    """
    ids = [asked.text(name) for name in "ab"]
    if None in ids:
        raise ConfigurationError("name two trajectories: /c?a=ID&b=ID.")
    columns = [
        trajectory_of(desk, id, label)
        for id, label in zip(ids, "AB", strict=True)
        if id is not None
    ]
    return pair_of(columns, [desk, desk])


def trajectory_of(desk: Desk, id: str, label: str) -> Column:
    """A trajectory as a column.

    Raises:
        RecordNotFound: there is none of that id.
    """
    found, info = desk.run.trajectory(id), desk.run.info
    return Column(
        trajectory=found,
        places=desk.places,
        label=label,
        weights=info.components if info else None,
        vocabulary=desk.run.vocabulary(),
    )


def pair_of(columns: Sequence[Column], desks: Sequence[Desk]) -> Page:
    """The page of two trajectories, of one run or of two."""
    a, b = (column.trajectory for column in columns)
    one_run = desks[0] is desks[1]
    runs = [Crumb(desks[0].name, url=desks[0].places.of_run())]
    runs += [] if one_run else [Crumb(desks[1].name, url=desks[1].places.of_run())]
    return Page(
        template="pair.html",
        title="two trajectories",
        places=desks[0].places if one_run else None,
        crumbs=(Crumb("runs", url="/"), *runs, Crumb("two trajectories")),
        command=_command(desks, a) if one_run else "",
        values={
            "sides": [
                {
                    "label": column.label,
                    "of": column.trajectory,
                    "url": column.url(),
                    "run": desk.name,
                    "run_url": desk.places.of_run(),
                    "group_url": _group_url(desk, column.trajectory),
                }
                for column, desk in zip(columns, desks, strict=True)
            ],
            "one_group": one_run and a.group_id == b.group_id and a.attempt == b.attempt,
            "prompt": _prompts(a.prompt, b.prompt),
            "side": side_by_side(columns),
            "trained": a.advantage is not None or b.advantage is not None,
        },
    )


def _command(desks: Sequence[Desk], a: Trajectory) -> str:
    return f"rlvr contrast {desks[0].argument} --group {shlex.quote(a.group_id)}"


def _group_url(desk: Desk, own: Trajectory) -> str:
    return desk.places.of_group(
        own.group_id, split=own.mode.value, step=own.step, attempt=own.attempt or None
    )


def _prompts(a: Sequence[Message], b: Sequence[Message]) -> TextDifference | None:
    """Where the prompts differ; None where they are the same."""
    texts = ["\n".join(f"{one.role}: {shown_text(one)}" for one in prompt) for prompt in (a, b)]
    return None if texts[0] == texts[1] else text_difference(*texts)
