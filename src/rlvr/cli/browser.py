"""The URLs at which `rlvr view` shows in a browser what other verbs print."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.cli.opening import Opened

if TYPE_CHECKING:
    from rich.text import Text

    from rlvr.runs import Run
    from rlvr.utils.places import Places


def viewed(opened: Opened) -> "tuple[Places, int]":
    """The run's places as a viewer of this user calls it, and that viewer's port; the port that one
    takes, if none runs."""
    from rlvr.utils.places import PORT, Places
    from rlvr.viewer.standing import standing_of

    standing = standing_of(opened.run.place)
    if standing is None or standing.port is None:
        return Places(run=opened.run.id), PORT
    return Places(run=_name(opened.run, standing.root)), standing.port


def _name(run: "Run", root: str) -> str:
    """What tells the run apart where others of the same id lie below `root`."""
    from rlvr.remote import is_url
    from rlvr.runs import run_folders
    from rlvr.utils.places import marked_name

    if is_url(root):
        return run.id
    alike = [folder for folder in run_folders(Path(root)) if folder.name == run.id]
    return run.id if len(alike) < 2 else marked_name(run.id, run.place)


def url_of(opened: Opened, place: "Callable[[Places], str]") -> str:
    """The whole URL of a page of the run."""
    from rlvr.utils.places import on_this_machine

    places, port = viewed(opened)
    return on_this_machine(place(places), port)


def browser_line(opened: Opened, place: "Callable[[Places], str]") -> "Text":
    """The URL, and what must run for it."""
    from rlvr.views.terminal.layout import command

    return command(url_of(opened, place), in_the_browser(opened))


def in_the_browser(opened: Opened) -> str:
    """What a URL shows, and what must run for it."""
    from rlvr.viewer.standing import standing_of

    if standing_of(opened.run.place) is not None:
        return "the same in the browser"
    return f"the same in the browser, while `rlvr view {opened.argument}` runs"
