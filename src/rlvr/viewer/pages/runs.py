"""`/`: the runs that are served."""

from typing import Any

from rlvr.errors import RlvrError
from rlvr.viewer.asked import Asked
from rlvr.viewer.served_runs import ServedRuns
from rlvr.views.terminal.settings import when
from rlvr.views.terminal.status import short_state
from rlvr.views.web import Crumb, Page

_MOST = 100


def runs_page(runs: ServedRuns, asked: Asked) -> Page:
    """The newest runs, newest first, each with what is beside it to compare."""
    names = runs.names()[::-1]
    most = asked.number("limit", _MOST, low=1, high=1_000)
    shown = names[:most]
    rows = [
        _row(runs, name, shown[at + 1] if at + 1 < len(shown) else None)
        for at, name in enumerate(shown)
    ]
    return Page(
        template="runs.html",
        title="runs",
        crumbs=(Crumb("runs"),),
        values={"rows": rows, "total": len(names), "root": runs.root},
        command=f"rlvr list {runs.root}",
        live=True,
    )


def _row(runs: ServedRuns, name: str, beside: str | None) -> dict[str, Any]:
    try:
        desk = runs.desk(name)
    except RlvrError as error:
        return _unreadable(name, str(error))
    info, status = desk.run.info, desk.run.status()
    return {
        "id": name,
        "places": desk.places,
        "name": info.name if info else None,
        "model": info.model if info else None,
        "state": short_state(status),
        "started": when(desk.run.started_at),
        "recorded": status.recorded,
        "beside": beside,
    }


def _unreadable(name: str, said: str) -> dict[str, Any]:
    from rlvr.views.web import Places

    return {
        "id": name,
        "places": Places(run=name),
        "name": None,
        "model": None,
        "state": said,
        "started": "",
        "recorded": None,
        "beside": None,
    }
