"""The index of a run, made beside the pages."""

from rlvr.viewer.desk import Desk


def indexed(desk: Desk) -> bool:
    """Whether there is an index to ask; False while the first one is made.

    Of a run being recorded it may lack the newest rows, which a later look shows.

    Raises:
        RlvrError: the run can't be indexed.
    """
    return desk.answers.of("index", desk.version(), lambda: _refresh(desk)).value is not None


def _refresh(desk: Desk) -> bool:
    with desk.lock:
        desk.run.index.compress()
        desk.run.index.refresh()
    return True
