"""Several pages in one file that opens without a server: parts of pages, made safe to stand alone.

A page's content is taken apart and written anew from what a file may hold: elements and attributes
that only show. Forms, buttons and links to elsewhere are left out, ids and links to them get the
name of their section, and every text passes through `clean`.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from urllib.parse import unquote

from markupsafe import Markup

from rlvr.views.web.assets import stylesheet
from rlvr.views.web.page import Frame, Page, environment, render

Clean = Callable[[str, str], str]
"""(a text, the anchor of the section in which it stands) -> the text as it is shown."""

_SHOWN_NAMES = """a abbr article aside b bdi blockquote br caption circle code col colgroup dd
defs del desc details div dl dt em figcaption figure g h1 h2 h3 h4 h5 h6 header hr i ins kbd li line
mark nav ol p path pattern polygon polyline pre q rect s samp section small span strong sub summary
sup svg table tbody td text tfoot th thead time title tr tspan u ul var wbr"""
_LEFT_OUT_NAMES = """button datalist dialog embed footer form iframe input label math noscript
object script select style template textarea"""
_ATTRIBUTE_NAMES = """class colspan cx cy d dir dx dy height id lang open patternunits
patterntransform points preserveaspectratio r role rowspan rx ry scope start tabindex text-anchor
title transform viewbox width x x1 x2 y y1 y2"""
_SHOWN = frozenset(_SHOWN_NAMES.split())
_LEFT_OUT = frozenset(_LEFT_OUT_NAMES.split())
_ATTRIBUTES = frozenset(_ATTRIBUTE_NAMES.split())
_VOID = frozenset(("br", "col", "hr", "input", "embed", "wbr"))
_NAMING = ("aria-labelledby", "aria-describedby", "aria-controls", "headers")
_HEADINGS = {f"h{level}": f"h{min(level + 1, 6)}" for level in range(1, 7)}
_TEXTS = ("title", "aria-label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A page in a file: its anchor, its title, how the contents call it, and what it shows."""

    anchor: str
    title: str
    label: str
    page: Page


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeFile:
    """What a file says around its sections.

    `facts` are (name, value) of where it comes from, `left_out` sentences on what is not in it,
    `redaction` lines on what was replaced, `loud` a warning that stands first. `json` is its data.
    """

    title: str
    version: str
    facts: Sequence[tuple[str, str]]
    redaction: Sequence[str]
    json: str
    loud: str = ""
    left_out: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of a section, ready for the file."""

    anchor: str
    title: str
    label: str
    html: Markup


def contents_of(
    sections: Sequence[Section], version: str, clean: Clean, *, most_chars: int
) -> list[Content]:
    """The content of each section, of the first ones that fit; the first always does."""
    taken: dict[str, str] = {}
    left = most_chars
    for section in sections:
        main = _main(section.page, version)
        left -= len(main)
        if taken and left < 0:
            break
        taken[section.anchor] = main
    written = written_anew(taken, clean)
    return [
        Content(
            anchor=section.anchor,
            title=section.title,
            label=section.label,
            html=written[section.anchor],
        )
        for section in sections[: len(taken)]
    ]


def written_anew(htmls: Mapping[str, str], clean: Clean) -> dict[str, Markup]:
    """The contents by their anchors, of nothing but what a file may hold, linked with one another.

    An anchor has no "-": what follows one is a place in its section.
    """
    read = {anchor: _Parts.of(html) for anchor, html in htmls.items()}
    anchors = {*read, *(f"{anchor}-{id}" for anchor, parts in read.items() for id in parts.ids)}
    return {
        anchor: Markup(_Written(anchor, parts, anchors, clean).html)
        for anchor, parts in read.items()
    }


def file_html(whole: WholeFile, contents: Sequence[Content]) -> str:
    """The whole file: a policy that loads nothing and runs nothing, one style, the contents, and
    the data, inert."""
    style = stylesheet().replace("</", "<\\/")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return (
        environment()
        .get_template("file.html")
        .render(
            whole=whole,
            contents=contents,
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';"
            " form-action 'none'",
            style=Markup(style),
            data=Markup(inert_json(whole.json)),
        )
    )


def inert_json(text: str) -> str:
    """JSON that nothing reads as markup, and that stays the same JSON."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _main(page: Page, version: str) -> str:
    """What stands in the page's <main>."""
    whole = render(page, Frame(version=version, inline="-"))
    start = whole.index('<main id="main"')
    return whole[whole.index(">", start) + 1 : whole.rindex("</main>")]


@dataclass(frozen=True, slots=True)
class _Start:
    tag: str
    attributes: tuple[tuple[str, str | None], ...]
    closed: bool


@dataclass(frozen=True, slots=True)
class _End:
    tag: str


@dataclass(slots=True)
class _Parts:
    """The pieces of a content, and the ids in it."""

    pieces: list[_Start | _End | str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, html: str) -> "_Parts":
        reader = _Reader()
        reader.feed(html)
        reader.close()
        return reader.parts


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts = _Parts()
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, closed=tag in _VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, closed=True)

    def handle_endtag(self, tag: str) -> None:
        if tag in _LEFT_OUT:
            self._inside = max(self._inside - 1, 0)
        elif not self._inside and tag in _SHOWN:
            self.parts.pieces.append(_End(tag))

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.parts.pieces.append(data)

    def _open(self, tag: str, attrs: list[tuple[str, str | None]], *, closed: bool) -> None:
        if tag in _LEFT_OUT:
            self._inside += not closed
        elif not self._inside and tag in _SHOWN:
            kept = tuple((name, value) for name, value in attrs if _is_kept(name, value))
            self.parts.ids |= {value for name, value in kept if name == "id" and value}
            self.parts.pieces.append(_Start(tag, kept, closed))


def _is_kept(name: str, value: str | None) -> bool:
    if name == "fill":
        return re.fullmatch(r"url\(#[a-z]{1,20}-hatch\)", value or "") is not None
    return name in _ATTRIBUTES or name == "href" or name.startswith("aria-")


class _Written:
    """A content written anew under the name of its section."""

    def __init__(self, anchor: str, parts: _Parts, anchors: set[str], clean: Clean) -> None:
        self._anchor, self._parts, self._anchors, self._clean = anchor, parts, anchors, clean
        self.html = "".join(map(self._piece, parts.pieces))

    def _piece(self, piece: _Start | _End | str) -> str:
        if isinstance(piece, str):
            return escape(self._clean(piece, self._anchor), quote=False)
        if isinstance(piece, _End):
            return f"</{_HEADINGS.get(piece.tag, piece.tag)}>"
        written = [self._attribute(piece.tag, name, value) for name, value in piece.attributes]
        end = "/" if piece.closed and piece.tag not in _VOID else ""
        return f"<{_HEADINGS.get(piece.tag, piece.tag)}{''.join(written)}{end}>"

    def _attribute(self, tag: str, name: str, value: str | None) -> str:
        if value is None:
            return f" {name}"
        if name == "id" and tag != "pattern":
            value = f"{self._anchor}-{value}"
        elif name in _NAMING:
            value = " ".join(f"{self._anchor}-{id}" for id in value.split())
        elif name == "href":
            target = self._target(value)
            return f' href="#{escape(target)}"' if target else ""
        elif name in _TEXTS:
            value = self._clean(value, self._anchor)
        return f' {name}="{escape(value)}"'

    def _target(self, href: str) -> str:
        """The anchor that a link goes to: a place in this section, or in another, or that one.

        A link to this section alone leads to what the file has not, such as another channel.
        """
        if not href.startswith("#"):
            return ""
        wanted = unquote(href[1:])
        if wanted in self._parts.ids:
            return f"{self._anchor}-{wanted}"
        if wanted in self._anchors and wanted != self._anchor:
            return wanted
        section = wanted.partition("-")[0]
        return section if section in self._anchors and section != self._anchor else ""
