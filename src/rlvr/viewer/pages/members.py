"""The rollouts behind a number, where no filter of the list of rollouts says which they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlvr.questions.reading import Members
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.sliced import passing
from rlvr.views.web import Crumb, Page


def members_page(
    desk: Desk,
    members: Members,
    *,
    title: str,
    note: str,
    where: str,
    older: bool,
    tab: str,
    above: Crumb,
    command: str,
) -> Page:
    """How many they are, and the first of them in their order. The index must be there.

    `where` says in a sentence what they are; `above` is the page that has the number.
    """
    return Page(
        template="members.html",
        title=title,
        places=desk.places,
        tab=tab,
        crumbs=(*desk.crumbs, above, Crumb(title)),
        command=command,
        values={
            "note": note,
            "where": where,
            "total": members.total,
            "rows": _rows(desk, members.ids),
            "older": older,
            "above": above,
        },
    )


def _rows(desk: Desk, ids: Sequence[str]) -> list[Mapping[str, Any]]:
    """What a list says of these rollouts, in their order."""
    if not ids:
        return []
    with desk.lock:
        page = desk.run.index.page(passing(ids), limit=len(ids), superseded=True)
    rows = {str(row["id"]): row for row in page.rows}
    return [
        {
            **rows[id],
            "urls": (desk.places.of_trajectory(id), desk.places.of_group(rows[id]["group_id"])),
        }
        for id in ids
        if id in rows
    ]
