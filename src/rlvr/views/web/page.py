"""A page: which template shows which values, and the frame around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rlvr.utils.places import Places
from rlvr.views.terminal.text import NOT_RECORDED, inert, number, one_line, plural, seconds, share
from rlvr.views.web.text import folded


@dataclass(frozen=True, slots=True)
class Crumb:
    """One part of the way to a page; `key` is what goes there from the keyboard."""

    label: str
    url: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A fact with the URL of what it is of; "" of nothing."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, as values.

    `template` is a file of `templates`, which gets `values`. `tab` marks the run's tab that it
    belongs to. `command` shows the same in a terminal, `export` downloads it as a file.
    `live`: it changes while a run is recorded. `refresh_s`: it says that an answer is awaited, and
    looks again by itself.
    """

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    places: Places | None = None
    tab: str = ""
    crumbs: tuple[Crumb, ...] = ()
    command: str = ""
    export: str = ""
    live: bool = False
    refresh_s: int | None = None
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What surrounds every page.

    `nonce` lets the page's own style and script load and nothing else. `state` is a line on the run
    and `damaged` the number of its files that could not be read. `alike` has (URL, place) of this
    page of other runs of the same id. `etag` names the state of what the page was made from.
    `inline` holds the style of a file that has no server.
    """

    version: str
    nonce: str = ""
    state: str = ""
    damaged: int = 0
    alike: Sequence[tuple[str, str]] = ()
    etag: str = ""
    inline: str = ""


def render(page: Page, frame: Frame) -> str:
    """The page as a whole HTML document.

    Every value is escaped, its control, direction and invisible characters are shown as escapes,
    and None reads "∅"; nothing but this package's own templates is markup.
    """
    values = {"page": page, "frame": frame, "places": page.places, **page.values}
    return environment().get_template(page.template).render(values)


@cache
def environment() -> Environment:
    """The templates."""
    made = Environment(
        loader=PackageLoader("rlvr.views.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_final,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters |= {
        "folded": folded,
        "number": number,
        "one_line": one_line,
        "plural": plural,
        "seconds": seconds,
        "share": share,
        "signed": lambda value, digits=3: number(value, digits, sign=True),
    }
    return made


def _final(value: object) -> object:
    if isinstance(value, Markup):
        return value
    if value is None:
        return NOT_RECORDED
    return inert(value) if isinstance(value, str) else value
