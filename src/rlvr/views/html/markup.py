"""Markup that text can't change: only `Html` is put into a page as it is, all else is escaped.

There is no script, link, image or form, and no attribute but `class`, those of the drawing of a
curve and `open`; none of them ever holds a text that was recorded.
"""

from collections.abc import Iterable, Sequence
from html import escape

from rlvr.utils.text import cut_middle
from rlvr.views.terminal.text import MESSAGE_LIMIT, inert, one_line, plural

FOLDED_CHARS = 1_500
"""A text that is longer is folded."""

ROWS = 100
"""Of a table; a line says how many more there are."""

_STYLE = """
.rlvr{--rule:#8886;--user:#1f6feb;--assistant:#1a7f37;--tool:#9a6700;--bad:#cf222e;
 color:inherit;background:none;font:13px/1.5 system-ui,sans-serif;max-width:75em;text-align:left}
@media (prefers-color-scheme:dark){
 .rlvr{--user:#79b8ff;--assistant:#56d364;--tool:#e3b341;--bad:#ff7b72}}
.rlvr pre{font:12px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;
 unicode-bidi:isolate;margin:.2em 0;padding:0;max-height:40em;overflow:auto;color:inherit;
 background:none;border:0}
.rlvr summary{cursor:pointer}
.rlvr table{border-collapse:collapse;margin:.3em 0;color:inherit;font-size:12px}
.rlvr th,.rlvr td{border:0;border-bottom:1px solid var(--rule);padding:.15em .8em .15em 0;
 text-align:left;vertical-align:top;background:none;overflow-wrap:anywhere;white-space:normal}
.rlvr .rlvr-number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.rlvr .rlvr-name{white-space:nowrap}
.rlvr-title{font-weight:600;font-size:14px;overflow-wrap:anywhere}
.rlvr-heading{font-weight:600;margin-top:.9em;border-bottom:1px solid var(--rule)}
.rlvr-note{opacity:.7}
.rlvr-bad{color:var(--bad)}
.rlvr-message{border-left:3px solid currentColor;padding-left:.7em;margin:.5em 0}
.rlvr-role{font-weight:600;font-size:11px;letter-spacing:.04em}
.rlvr-user .rlvr-role{color:var(--user)} .rlvr-user{border-color:var(--user)}
.rlvr-assistant .rlvr-role{color:var(--assistant)} .rlvr-assistant{border-color:var(--assistant)}
.rlvr-tool .rlvr-role{color:var(--tool)} .rlvr-tool{border-color:var(--tool)}
.rlvr svg{display:block;color:inherit;overflow:visible}
"""


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def shown(text: str) -> Html:
    """Markup as it is; any other text escaped, its control and direction characters visible."""
    return text if isinstance(text, Html) else Html(escape(inert(text), quote=True))


def element(name: str, *children: str, kind: str = "") -> Html:
    """An element of a class `rlvr-KIND`; children that are no markup are escaped."""
    attribute = f' class="{" ".join(f"rlvr-{one}" for one in kind.split())}"' if kind else ""
    return Html(f"<{name}{attribute}>{''.join(map(shown, children))}</{name}>")


def together(parts: Iterable[str]) -> Html:
    """The parts, one after another."""
    return Html("".join(map(shown, parts)))


def page(*parts: str) -> Html:
    """What a notebook shows. No mathematics is typeset in it: a formula could make a link."""
    style = Html(f"<style>{_STYLE}</style>")
    inside = together(parts)
    return Html(f'<div class="rlvr tex2jax_ignore mathjax_ignore">{style}{inside}</div>')


def heading(title: str, note: str = "") -> Html:
    """The title of a section."""
    said = element("span", f"  {note}", kind="note") if note else Html("")
    return element("div", title, said, kind="heading")


def line(text: str, *, limit: int = 300, kind: str = "") -> Html:
    """The text on one line, cut at about `limit` characters."""
    return element("span", one_line(text, limit), kind=kind)


def long_text(text: str, *, limit: int = MESSAGE_LIMIT, note: str = "") -> Html:
    """A text as it stands; folded where it is long, and its middle cut where it is longer yet.

    The cut says how many characters it leaves out, and `note` where they are.
    """
    block = element("pre", cut_middle(text, limit, note))
    if len(text) <= FOLDED_CHARS:
        return block
    begins = f"{one_line(text, 160)}  ({len(text):,} characters)"
    return element("details", element("summary", begins), block)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Sequence[str] = (),
    most: int = ROWS,
) -> Html:
    """Rows under the names of their columns; numbers to the right but for the columns `left`."""
    kinds = ["" if name in left else "number" for name in columns]

    def cells(name: str, row: Sequence[str]) -> Html:
        return element(
            "tr",
            *(element(name, cell, kind=kind) for cell, kind in zip(row, kinds, strict=True)),
        )

    body = together(cells("td", row) for row in rows[:most])
    head = element("thead", cells("th", columns))
    whole = element("table", head, element("tbody", body))
    more = len(rows) - most
    return together([whole, *([further(more, "row")] if more > 0 else [])])


def facts(pairs: Iterable[tuple[str, str | None]]) -> Html:
    """Names and what is known of each; those without are left out."""
    rows = [
        element("tr", element("td", name, kind="note name"), element("td", value))
        for name, value in pairs
        if value
    ]
    return element("table", element("tbody", *rows))


def commands(pairs: Iterable[tuple[str, str]]) -> Html:
    """What to type next, each with what it does."""
    rows = [
        element("tr", element("td", element("code", one_line(command, 400))), element("td", what))
        for command, what in pairs
    ]
    return together([heading("Next"), element("table", element("tbody", *rows))])


def further(count: int, noun: str, where: str = "") -> Html:
    """How many are not shown."""
    return element("div", f"{plural(count, f'further {noun}')} not shown{where}", kind="note")
