"""A foreign recording opened by its path: imported into a cache of this user, and found again."""

from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.cli.output import say
from rlvr.cli.progress import reading

if TYPE_CHECKING:
    from rlvr.runs import Run


def open_foreign(path: Path) -> "Run | None":
    """The run that a foreign recording makes, None where the path holds none that we know.

    Raises:
        StoreError: the cache can't be written.
    """
    from rlvr.errors import RunNotFound
    from rlvr.interchange import Options, recognise
    from rlvr.interchange.cache import Cache
    from rlvr.runs import open_run
    from rlvr.utils.caches import cache_folder
    from rlvr.views.terminal.text import plural

    try:
        found = recognise(path, Options())
    except RunNotFound:
        return None
    cache = Cache(cache_folder() / "imports")
    held = cache.find(found)
    if held is not None:
        say(f"rlvr: {found.format.title} at {path}, as imported before into {held}")
        return open_run(held)
    say(f"rlvr: {found.format.title} at {path}: importing it into the cache of this user")
    with reading("importing") as on_progress:
        report, folder = cache.add(found, on_progress=on_progress)
    damaged = (
        f", {report.damaged:,} damaged lines, rows or files left out" if report.damaged else ""
    )
    say(
        f"rlvr: {plural(report.total, 'rollout')} in {folder}{damaged}; `rlvr import {path}` keeps"
        " them and says all of it"
    )
    return open_run(folder)
