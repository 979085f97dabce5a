"""The style and the script of the pages, as they lie in `static`."""

from functools import cache
from importlib.resources import files


@cache
def stylesheet() -> str:
    """The style of all pages: `base.css`, then one file for each kind of content, by name."""
    static = files("rlvr.views.web") / "static"
    names = sorted(entry.name for entry in static.iterdir() if entry.name.endswith(".css"))
    names.sort(key=lambda name: name != "base.css")
    return "\n".join((static / name).read_text(encoding="utf-8") for name in names)


@cache
def asset(name: str) -> bytes:
    """A file that pages load by its name.

    Raises:
        KeyError: there is none.
    """
    if name == "view.css":
        return stylesheet().encode()
    if name not in TYPES:
        raise KeyError(name)
    return (files("rlvr.views.web") / "static" / name).read_bytes()


TYPES = {
    "view.css": "text/css; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "tokens.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "idiomorph.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""What pages load, and the type of each."""
