"""`/r/RUN/rewards` and `/r/RUN/tools`: numbers that open the rollouts which show them."""

import html
import math
import random
import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from builders import RUN_ID, batches, run_info, with_advantages
from rlvr.analysis.calls import NOT_OFFERED
from rlvr.questions.reading import read_rewards, read_tools
from rlvr.record import Component, Mode, ScoreStatus, ToolResult
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.views.rewards import headline as reward_headline
from rlvr.views.terminal.text import number, share
from rlvr.views.tools import headline as tool_headline
from rlvr.views.web import Places
from viewers import client_of

AT = f"/r/{RUN_ID}"
TRAINING = {"mode": Mode.TRAIN}
ODD = "it's <b>odd</b>"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A run in which a tool of an odd name raises in one rollout of each step from 6 on."""
    folder = tmp_path_factory.mktemp("mixed") / "run"
    with Recorder.open(folder, info=run_info(run=RUN_ID), run=RUN_ID) as recorder:
        for step, batch in enumerate(batches(12)):
            rollouts = [replace(one, run=RUN_ID) for one in batch]
            if step >= 6:
                raised = ToolResult(
                    turn=0, call_id="c", name=ODD, arguments="{}", error="no", duration_s=2.0
                )
                rollouts[0] = replace(rollouts[0], tool_results=(raised,))
            recorder.record_batch(rollouts)
    return folder


def shown(client, url):
    """The text of a page, once its answer is there."""
    for _ in range(100):
        page = client.get(url)
        if 'http-equiv="refresh"' not in page.text:
            return page.text
    raise AssertionError(f"{url} is awaited for ever")


def linked(page):
    """(what a link says, its URL) of each link in the content."""
    main = page.partition("<main")[2].partition("</main>")[0]
    return [
        (html.unescape(label), html.unescape(url))
        for url, label in re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', main)
    ]


def rollouts_at(client, url):
    """How many rollouts a list says that it has, and the ids that it shows."""
    text = shown(client, url)
    count = re.search(r"([\d,]+) rollouts?\b", text.partition("<main")[2])
    return int(count[1].replace(",", "")), re.findall(r'/t/([^"/?]+)">', text)


def cell(page, row, at):
    """The URL that the number in a cell of a tool's row opens."""
    (cells,) = re.findall(rf'id="tool-\d+"><th scope="row">{row}</th>(.*?)</tr>', page, re.DOTALL)
    found = re.findall(r'<td class="n">(.*?)</td>', cells, re.DOTALL)[at]
    return html.unescape(re.search(r'href="([^"]+)"', found)[1])


def test_tools_say_what_the_command_says_and_open_the_calls(mixed):
    client, run = client_of(mixed), open_run(mixed)
    use = read_tools(run, TRAINING).use
    page = shown(client, f"{AT}/tools")
    for sentence in tool_headline(use):
        assert sentence in html.unescape(page)
    assert "<b>odd" not in page
    odd = {f"train-s{step:06d}-b{step:06d}-a00-r000-00000" for step in range(6, 12)}
    total, ids = rollouts_at(client, cell(page, re.escape(NOT_OFFERED), 4))
    assert (total, set(ids)) == (6, odd)
    assert rollouts_at(client, cell(page, re.escape(NOT_OFFERED), 0)) == (total, ids)
    (retrieve,) = [line for line in use.tools if line.name == "retrieve"]
    for at in (0, 3):
        assert rollouts_at(client, cell(page, "retrieve", at))[0] == retrieve.using.hits
    assert rollouts_at(client, cell(page, "retrieve", 1))[0] == use.rollouts
    orders = dict(linked(page))
    for pattern in use.patterns:
        assert rollouts_at(client, orders[pattern.text])[0] == pattern.rollouts


def test_the_slowest_calls_come_first(mixed):
    client = client_of(mixed)
    page = shown(client, f"{AT}/tools")
    url = cell(page, re.escape(NOT_OFFERED), 6)
    total, ids = rollouts_at(client, url)
    assert (total, len(ids)) == (6, 6)
    assert "the slowest calls of (not offered) first" in shown(client, url)


def test_a_change_of_level_is_marked_and_opens_its_step(mixed):
    page = shown(client_of(mixed), f"{AT}/tools")
    steps = re.findall(rf'data-stop id="change-\d+">.*?href="{AT}/s/(\d+)\?', page)
    use = read_tools(open_run(mixed), TRAINING).use
    changes = [c.step for line in use.tools for c in (*line.calls_changes, *line.raised_changes)]
    assert changes  # else this shows nothing
    assert [int(step) for step in steps] == changes


def test_rewards_say_what_the_command_says(mixed):
    use, _ = read_rewards(open_run(mixed), TRAINING)
    page = shown(client_of(mixed), f"{AT}/rewards")
    for sentence in reward_headline(use):
        assert sentence in html.unescape(page)
    assert page.count('id="component-') == len(use.components)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A run whose scorers fail now and then, give NaN and infinity, and oppose one another; whose
    last weight is negative; and that has a component with a name of blanks and quotes."""
    draw = random.Random(3)
    folder = tmp_path_factory.mktemp("uneven") / "run"
    weights = {"right": 1.0, "format": 0.5, ' "odd"\n': -0.25}
    info = replace(run_info(run=RUN_ID), components=weights, outcome="right")
    with Recorder.open(folder, info=info, run=RUN_ID) as recorder:
        for batch in batches(9):
            recorder.record_batch(with_advantages([scored(row, draw, weights) for row in batch]))
    return folder


def scored(row, draw, weights):
    values = {"right": float(draw.random() < 0.4), "format": draw.choice((0.0, 0.5, 1.0))}
    values[' "odd"\n'] = draw.choice((values["right"], 1.0, None, math.nan, math.inf))
    parts = tuple(
        Component(
            name=name,
            value=value,
            weight=weights[name],
            status=ScoreStatus.OK if value is not None else ScoreStatus.ERROR,
        )
        for name, value in values.items()
    )
    sound = [value * weights[name] for name, value in values.items() if name != ' "odd"\n']
    return replace(row, run=RUN_ID, components=parts, reward=sum(sound))


def test_each_number_of_the_rewards_opens_as_many_rollouts_as_it_counts(uneven):
    client, run = client_of(uneven), open_run(uneven)
    use, _ = read_rewards(run, TRAINING)
    page = shown(client, f"{AT}/rewards")
    places = Places(run=RUN_ID)

    def count(what, *of):
        asked = {"what": what, "of": of[0] if of else None, "split": "train"}
        beside = {"beside": of[1]} if len(of) > 1 else {}
        url = places.of_members("rewards", **asked, **beside)
        parts = set(parse_qsl(urlsplit(url).query))
        urls = [url for _, url in linked(page) if set(parse_qsl(urlsplit(url).query)) == parts]
        return rollouts_at(client, urls[0])[0] if urls else 0

    assert count("moved") == use.advantaged > 0
    for one in use.components:
        assert count("lacking", one.name) == one.unscored + one.not_finite
        for what in ("decides", "follows", "flips", "vanishes"):
            assert count(what, one.name) == getattr(one.decisions, what).hits
        mean, best = (
            next(url for label, url in linked(page) if label == text and names(url, one.name))
            for text in (number(one.mean, 2), share(one.at_best.value))
        )
        assert rollouts_at(client, mean)[0] == one.scored
        assert rollouts_at(client, best)[0] == one.at_best.hits
    assert any(one.not_finite and one.unscored for one in use.components)
    for pair in use.pairs:
        assert count("opposed", pair.first, pair.second) == pair.opposed.hits
    assert count("agrees", "right") == use.outcome.agrees.hits > 0
    assert count("elsewhere", "right") == use.outcome.elsewhere.hits > 0


def names(url, component):
    """Whether a filter is of that component."""
    where = dict(parse_qsl(urlsplit(url).query)).get("where", "")
    return '"rewards.' + component.replace('"', '""') + '"' in where


def test_the_ends_of_a_curve_open_their_step(uneven):
    client = client_of(uneven)
    _, table = read_rewards(open_run(uneven), TRAINING)
    page = shown(client, f"{AT}/rewards?steps=2:5")
    ends = [url for _, url in linked(page) if "step+%3D+5" in url and names(url, "right")]
    assert ends
    assert rollouts_at(client, ends[0])[0] == table["step"].to_pylist().count(5)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("rewards/rollouts?what=decides&of=nobody", 404),
        ("rewards/rollouts?what=nothing", 400),
        ("rewards/rollouts?what=opposed&of=right", 404),
        ("tools/rollouts?what=raised&of=nobody", 404),
        ("tools/rollouts?what=order", 404),
        ("tools/rollouts?what=%3Cb%3E", 400),
    ],
)
def test_a_number_that_is_not_there_says_so(uneven, query, status):
    client = client_of(uneven)
    shown(client, f"{AT}/{query}")
    assert client.get(f"{AT}/{query}").status_code == status


def test_they_ask_of_some_steps_and_of_what_passes(mixed):
    client = client_of(mixed)
    page = shown(client, f"{AT}/tools?steps=8:9&where=reward+%3E+-1&split=train")
    rollouts = read_tools(open_run(mixed), {"mode": Mode.TRAIN, "step": range(8, 10)}).use.rollouts
    assert f"{rollouts} rollouts" in page
    assert "--steps 8:9 --where &#39;reward &gt; -1&#39;" in page
    assert "No rollout is here" in shown(client, f"{AT}/tools?split=eval")
    assert client.get(f"{AT}/rewards?split=sideways").status_code == 400


@pytest.mark.parametrize("page", ["tools", "rewards"])
def test_the_plots_are_files_to_keep(mixed, page):
    client = client_of(mixed)
    drawing = client.get(f"{AT}/{page}.svg")
    assert drawing.headers["content-type"].startswith("image/svg+xml")
    assert drawing.headers["content-disposition"] == f'attachment; filename="{page}.svg"'
    assert b"<svg" in drawing.content
    assert client.get(f"{AT}/{page}.png").content.startswith(b"\x89PNG")
