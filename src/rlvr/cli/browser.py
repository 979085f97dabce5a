"""The URLs at which `rlvr view` shows in a browser what other verbs print."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rlvr.cli.opening import Opened

if TYPE_CHECKING:
    from rich.text import Text

    from rlvr.utils.places import Places


def viewer_port(opened: Opened) -> int:
    """The port of this user's viewer that shows the run; the one that it takes, if none runs."""
    from rlvr.utils.places import PORT
    from rlvr.viewer.standing import port_of

    return port_of(opened.run.place) or PORT


def url_of(opened: Opened, place: "Callable[[Places], str]") -> str:
    """The whole URL of a page of the run."""
    from rlvr.utils.places import Places, on_this_machine

    return on_this_machine(place(Places(run=opened.run.id)), viewer_port(opened))


def browser_line(opened: Opened, place: "Callable[[Places], str]") -> "Text":
    """The URL, and what must run for it."""
    from rlvr.views.terminal.layout import command

    return command(url_of(opened, place), in_the_browser(opened))


def in_the_browser(opened: Opened) -> str:
    """What a URL shows, and what must run for it."""
    from rlvr.viewer.standing import port_of

    if port_of(opened.run.place) is not None:
        return "the same in the browser"
    return f"the same in the browser, while `rlvr view {opened.argument}` runs"
