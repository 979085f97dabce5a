"""`/r/RUN/rewards` and `/r/RUN/tools`: numbers that open the rollouts which show them."""

import html
import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from builders import RUN_ID, batches, run_info
from rlvr.questions.reading import read_rewards, read_tools
from rlvr.record import Mode, ToolResult
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.views.rewards import headline as reward_headline
from rlvr.views.tools import headline as tool_headline
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


def opened(page, run):
    """The rollouts of each list that the page links to, by the link's text."""
    found = {}
    for url, label in re.findall(r'<a href="([^"]+/rollouts\?[^"]+)">([^<]+)</a>', page):
        asked = parse_qs(urlsplit(html.unescape(url)).query)
        rows = run.index.page(
            asked["where"][0], order_by=asked.get("order", ["step"])[0], limit=1_000
        ).rows
        found[html.unescape(label)] = {str(row["id"]) for row in rows}
    return found


def test_tools_say_what_the_command_says_and_open_the_calls(mixed):
    run = open_run(mixed)
    use = read_tools(run, TRAINING).use
    page = shown(client_of(mixed), f"{AT}/tools")
    for sentence in tool_headline(use):
        assert sentence in html.unescape(page)
    assert "<b>odd" not in page
    odd = {f"train-s{step:06d}-b{step:06d}-a00-r000-00000" for step in range(6, 12)}
    lists = opened(page, run)
    assert odd in lists.values()
    (retrieve,) = [line for line in use.tools if line.name == "retrieve"]
    assert len(lists[f"{retrieve.calls:,}"]) == retrieve.using.hits


def test_a_change_of_level_is_marked_and_opens_its_step(mixed):
    page = shown(client_of(mixed), f"{AT}/tools")
    steps = re.findall(rf'data-stop id="change-\d+">.*?href="{AT}/s/(\d+)\?', page)
    use = read_tools(open_run(mixed), TRAINING).use
    changes = [c.step for line in use.tools for c in (*line.calls_changes, *line.raised_changes)]
    assert changes  # else this shows nothing
    assert [int(step) for step in steps] == changes


def test_rewards_say_what_the_command_says_and_open_their_rollouts(mixed):
    run = open_run(mixed)
    use, _ = read_rewards(run, TRAINING)
    page = shown(client_of(mixed), f"{AT}/rewards")
    for sentence in reward_headline(use):
        assert sentence in html.unescape(page)
    assert page.count('id="component-') == len(use.components)
    deciders = [one for one in use.components if one.decisions and one.decisions.decides.hits]
    assert deciders
    lists = opened(page, run)
    assert all(lists.values())  # every link opens some rollout


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
