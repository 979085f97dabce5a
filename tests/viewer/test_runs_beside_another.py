"""`/c`: made anew when one of the two runs changed and not before, and followed while they do."""

from dataclasses import replace

import pytest

from browsing import chromium, until, visiting
from builders import batches, run_info
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from viewers import client_of, served

A, B = "20260801-120000-aaaa", "20260802-120000-bbbb"
URL = f"/c?a={A}&b={B}"


@pytest.fixture
def two(tmp_path):
    """A run that is done and one that is being recorded, with what records further steps of it."""
    record(tmp_path, A, range(2), 1.0)
    with Recorder.open(tmp_path, info=run_info(run=B), run=B) as recorder:

        def more(steps):
            for step, batch in enumerate(batches(8)):
                if step in steps:
                    recorder.record_batch([replace(one, run=B) for one in batch])
            assert recorder.flush(30.0)

        more(range(2))
        yield tmp_path, more


def record(folder, run, steps, reward):
    with Recorder.open(folder, info=run_info(run=run), run=run) as recorder:
        for step, batch in enumerate(batches(8)):
            if step in steps:
                recorder.record_batch([replace(one, run=run, reward=reward) for one in batch])


def settled(client, url):
    """The page, once nothing on it is awaited."""
    for _ in range(200):
        answer = client.get(url)
        if 'http-equiv="refresh"' not in answer.text:
            return client.get(url)  # whose state has the answers that came meanwhile
    raise AssertionError(f"{url} is awaited for ever")


def test_a_comparison_is_sent_again_only_after_one_of_its_runs_changed(two):
    folder, more = two
    client = client_of(folder, only=False)
    first = settled(client, URL)
    tag = {"If-None-Match": first.headers["etag"]}
    assert client.get(URL, headers=tag).status_code == 304
    more([2])
    assert client.get(URL, headers=tag).status_code == 200
    assert client.get(f"/c?a={B}&b={A}", headers=tag).status_code == 200


def test_two_rollouts_are_sent_once(two):
    folder, _ = two
    first, second = (open_run(folder / "rlvr" / run).index.ids()[0] for run in (A, B))
    client = client_of(folder, only=False)
    url = f"/c?a={A}:{first}&b={B}:{second}"
    tag = {"If-None-Match": client.get(url).headers["etag"]}
    assert client.get(url, headers=tag).status_code == 304


def test_what_is_not_there_and_a_choice_have_no_tag(two):
    client = client_of(two[0], only=False)
    for url in (f"/c?a={A}&b=nobody", f"/c?a={A}", "/c"):
        assert "etag" not in client.get(url).headers


def test_a_comparison_follows_the_run_that_grows_where_it_stands(two):
    folder, more = two
    with (
        chromium() as browser,
        served(folder, only=False) as viewer,
        visiting(browser, viewer) as visits,
    ):
        page = visits.page
        visits.go(URL)
        while page.locator("meta[http-equiv=refresh]").count():
            page.wait_for_timeout(200)
            visits.go(URL)
        assert "steps 0 to 1" in page.locator("#scores").inner_html()
        page.evaluate("window.still = true")
        more(range(2, 5))
        until(page, "document.getElementById('scores').innerHTML.includes('steps 0 to 4')")
        assert page.evaluate("window.still")  # it is the same page, changed where it stands
        assert visits.misdeeds == []
