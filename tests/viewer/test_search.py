"""`/search`: hits that open on their message, in one run or several, and the same to copy."""

import html
import re
from dataclasses import replace

import pytest

from builders import RUN_ID, trajectory, write_run
from rlvr.record import Message
from rlvr.runs import open_run
from viewers import client_of

OTHER = "20260102-030405-cafe"
HOSTILE = '<script>alert("zebra")</script><img src=x onerror=alert(1)>\x1b[31m'


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs, in one of which a tool returned what a browser must not run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    first = trajectory()
    said = (*first.completion, Message(role="tool", content=HOSTILE))
    folder = tmp_path / "runs"
    write_run(folder, steps=3, extra=[replace(first, completion=said, step=3)])
    write_run(folder, steps=1, run=OTHER)
    return folder


def shown(client, url):
    """The answer, once it is there."""
    for _ in range(200):
        answer = client.get(url)
        if 'http-equiv="refresh"' not in answer.text:
            return answer
    raise AssertionError(f"{url} is awaited for ever")


def test_a_hit_opens_on_its_message_and_what_it_says_stays_text(runs):
    (hit,) = open_run(runs / "rlvr" / RUN_ID).search("zebra")
    page = shown(client_of(runs, only=False), f"/search?q=zebra&run={RUN_ID}").text
    assert f'href="/r/{RUN_ID}/t/{hit.id}#m{hit.message}"' in page
    assert "<mark>zebra</mark>" in page
    assert "<script>alert" not in page
    assert "<img" not in page
    assert r"\x1b" in page
    assert "1 to 1 of 1 found" in page


def test_without_a_run_every_run_is_searched_and_said(runs):
    page = html.unescape(shown(client_of(runs, only=False), "/search?q=zebra").text)
    sections = re.findall(r'<h2 id="in-\d+"><a href="/r/([^"]+)"', page)
    assert sections == [OTHER, RUN_ID] or sections == [RUN_ID, OTHER]
    assert "is found." in page  # in the other
    assert page.count("rlvr search ") == 2
    assert re.search(r"run\.search\('zebra'\)", page)


def test_all_that_is_asked_is_in_the_command_and_in_python(runs):
    asked = f"/search?q=zebra+quagga&run={RUN_ID}&role=tool&step=1:2&where=turns+%3E+0&sort=step"
    page = html.unescape(shown(client_of(runs, only=False), asked).text)
    assert "'zebra quagga' --role tool --steps 1:2 --where 'turns > 0' --sort step" in page
    assert (
        "run.search('zebra quagga', roles=['tool'], step=range(1, 3), where='turns > 0',"
        " sort='step')" in page
    )


def test_a_page_at_a_time(runs):
    client = client_of(runs / "rlvr" / RUN_ID)
    run = open_run(runs / "rlvr" / RUN_ID)
    total = run.search("the OR a").total
    assert total > 20  # else there is no second page
    first = shown(client, "/search?q=the+OR+a").text
    following = re.search(r'href="([^"]+)"[^>]*>those after', first)
    second = shown(client, html.unescape(following[1])).text
    assert f"21 to {min(total, 40)} of {total}" in second
    assert not set(re.findall(r"/t/(train-[\w-]+)", first)) & set(
        re.findall(r"/t/(train-[\w-]+)", second)
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("q=zebra+OR", "the query lacks a word"),
        ("q=zebra&where=nonsense+%3D+1", "nothing is named"),
        ("q=zebra&role=nobody", "role is 'nobody'"),
        ("q=zebra&step=2:1", "write 10, 10:20"),
    ],
)
def test_a_wrong_query_is_explained(runs, asked, said):
    answer = shown(client_of(runs, only=False), f"/search?{asked}&run={RUN_ID}")
    assert answer.status_code == 400
    assert said in html.unescape(answer.text)


def test_nothing_asked_says_what_can_be(runs):
    page = client_of(runs, only=False).get("/search").text
    assert "What to write" in page
    assert "time*" in page
