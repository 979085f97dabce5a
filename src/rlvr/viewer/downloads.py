"""What the key `e` downloads: the page that is open, as one file for others, without secrets."""

import re
from collections.abc import Callable

from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.diagnosis import judging_of
from rlvr.viewer.sharing import Options, SharedFile, records_file, report_file

Download = Callable[[Desk, Asked], tuple[str, SharedFile]]
"""The name of a file, and the file."""


def _report(desk: Desk, asked: Asked) -> tuple[str, SharedFile]:
    return f"report-{desk.name}", report_file(desk, Options(), judging_of(desk, asked))


def _trajectory(desk: Desk, asked: Asked) -> tuple[str, SharedFile]:
    id = asked.part("id")
    return id, records_file(desk, [id], {}, Options())


def _group(desk: Desk, asked: Asked) -> tuple[str, SharedFile]:
    group = asked.part("group")
    places = {
        name: asked.query[name]
        for name in ("split", "step", "attempt", "from")
        if name in asked.query
    }
    return group, records_file(desk, [], {group: places}, Options())


DOWNLOADS: dict[str, Download] = {
    "/diagnosis": _report,
    "/t/{id}": _trajectory,
    "/g/{group:any}": _group,
}
"""The pages that can be downloaded, by their paths below /r/RUN; `?export=1` asks for it."""


def file_name(name: str) -> str:
    """The name of a file on any disk, and in a header, for what was recorded under any name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100].strip(".-") or "file"
