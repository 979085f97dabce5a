"""What a model wrote never becomes markup: every page of a hostile run, read as a browser would."""

from collections import deque
from html.parser import HTMLParser
from urllib.parse import urldefrag, urlsplit

import pytest

from hostile import FAR, FILES, PAYLOADS, write_hostile_run
from viewers import client_of

MOST_PAGES = 130

PAGES = (
    *("c", "contrast", "diagnosis", "g", "ledger", "p", "rewards", "rollouts", "s", "t"),
    *("t/tokens", "tools"),
)

ALLOWED = frozenset(
    [
        "a",
        "abbr",
        "article",
        "aside",
        "b",
        "body",
        "br",
        "button",
        "caption",
        "circle",
        "code",
        "col",
        "colgroup",
        "datalist",
        "dd",
        "defs",
        "del",
        "desc",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "footer",
        "form",
        "g",
        "h1",
        "h2",
        "h3",
        "h4",
        "head",
        "header",
        "hr",
        "html",
        "i",
        "input",
        "kbd",
        "label",
        "li",
        "line",
        "link",
        "main",
        "mark",
        "meta",
        "nav",
        "ol",
        "option",
        "p",
        "path",
        "pattern",
        "polyline",
        "pre",
        "rect",
        "ruby",
        "rt",
        "s",
        "script",
        "section",
        "select",
        "small",
        "span",
        "strong",
        "style",
        "sub",
        "summary",
        "sup",
        "svg",
        "table",
        "tbody",
        "td",
        "text",
        "tfoot",
        "th",
        "thead",
        "title",
        "tr",
        "tspan",
        "u",
        "ul",
    ]
)
"""Elements that our own templates use. Those that load something are not among them, but for the
page's own style and script, whose addresses are looked at."""

ADDRESSES = ("href", "src", "action", "formaction", "poster", "background", "data", "srcset")


class Page(HTMLParser):
    """The elements of a page, and where its links go."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.links, self.faults = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        if tag not in ALLOWED:
            self.faults.append(f"<{tag}>")
        for name, value in attributes:
            if name.startswith("on") or name in ("style", "srcdoc", "ping", "xlink:href"):
                self.faults.append(f"{tag} {name}")
            if name in ADDRESSES:
                self._address(tag, value or "")
        if tag == "a":
            self.links += [value for name, value in attributes if name == "href"]
        if tag == "script" and dict(attributes).get("src") != "/static/view.js":
            self.faults.append(f"script {attributes}")

    def _address(self, tag, value):
        ours = value.startswith("#") or (value.startswith("/") and value[1:2] not in ("/", "\\"))
        if not ours:
            self.faults.append(f"{tag} leads to {value!r}")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    return write_hostile_run(tmp_path_factory.mktemp("hostile") / "run")


def crawled(client, start):
    """Every page that links lead to, at most MOST_PAGES, each kind of page early."""
    seen, pending, kinds = {start}, deque([start]), set()
    while pending and len(seen) < MOST_PAGES + len(pending):
        path = pending.popleft()
        answer = client.get(path)
        yield path, answer
        if "text/html" not in answer.headers["content-type"]:
            continue
        for link in Page(answer.text).links:
            target = urldefrag(link).url
            if not target or target in seen:
                continue
            seen.add(target)
            if kind_of(target) in kinds:
                pending.append(target)
            else:
                kinds.add(kind_of(target))
                pending.appendleft(target)


def kind_of(path):
    """The path with what names a run, a record or a step left out."""
    parts = urlsplit(path).path.strip("/").split("/")
    return "/".join(part for at, part in enumerate(parts) if at % 2 == 0)


def test_no_page_of_a_hostile_run_holds_anything_but_our_own_elements(hostile):
    client = client_of(hostile)
    kinds, faults, missed = set(), [], []
    for path, answer in crawled(client, "/"):
        kinds.add(kind_of(path))
        if answer.status_code != 200:
            missed.append((answer.status_code, path))
        assert answer.status_code < 500, (path, answer.text[-2_000:])
        if "text/html" in answer.headers["content-type"] and "attachment" not in answer.headers.get(
            "content-disposition", ""
        ):
            faults += [f"{path}: {fault}" for fault in Page(answer.text).faults]
    assert not faults
    assert kinds >= {"r", "c", *(f"r/{name}" for name in PAGES)}
    assert missed == []


def test_every_name_that_is_hostile_opens_its_own_page(hostile):
    """Ids of groups and examples stand in URLs; each must come back as it was."""
    from rlvr.runs import open_run
    from rlvr.views.web import Places

    client, run = client_of(hostile), open_run(hostile)
    places = Places(run=run.id)
    for trajectory in list(run.trajectories(tokens=False)):
        for url in (
            places.of_group(trajectory.group_id),
            places.of_prompt(trajectory.example_id),
            places.of_trajectory(trajectory.id),
        ):
            assert client.get(url).status_code == 200, (url, trajectory.group_id)


def test_files_of_hostile_names_are_named_as_they_are(hostile):
    client = client_of(hostile)
    page = ""
    while "Files that can't be read" not in page:
        page = client.get("/").text
    assert all(name in "".join(_Texts(page).found) for name in FILES)


def test_payloads_are_shown_as_they_are(hostile):
    """Inert is not enough: a reader must see what the model wrote."""
    from rlvr.runs import open_run
    from rlvr.views.web import Places

    run = open_run(hostile)
    first = next(iter(run.trajectories(tokens=False)))
    page = client_of(hostile).get(Places(run=run.id).of_trajectory(first.id)).text
    texts = "".join(_Texts(page).found)
    shown = [one for one in PAYLOADS if one.isprintable() and FAR in one]
    assert shown
    assert [one for one in shown if one not in texts] == []


class _Texts(HTMLParser):
    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.found = []
        self.feed(html)

    def handle_data(self, data):
        self.found.append(data)
