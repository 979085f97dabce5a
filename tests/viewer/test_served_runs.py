"""Which run a URL opens: also where two have one id, and where a second run comes later."""

import json
import os
import re
from dataclasses import replace
from html import unescape

import pytest
from starlette.testclient import TestClient

from builders import batches, run_info, write_run
from rlvr.cli import main
from rlvr.cli.view import _served_runs
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.viewer.app import build
from rlvr.viewer.guard import Rules
from rlvr.viewer.standing import Standing, announced
from viewers import COOKIE, TOKEN, client_of

ID = "20260801-120000-ab12"
ONE = "train-s000000-b000000-a00-r000-00000"


def recorded(folder, name):
    """A run of that name, of the id of all of them."""
    info = replace(run_info(run=ID), name=name)
    with Recorder.open(folder, info=info, run=ID) as recorder:
        recorder.record_batch([replace(row, run=ID) for row in next(iter(batches(1)))])
    return folder / "rlvr" / ID


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two runs of one id below a folder, called earlier and later."""
    folder = tmp_path_factory.mktemp("twins")
    return folder, recorded(folder / "a", "earlier"), recorded(folder / "b", "later")


@pytest.fixture
def printed(capsys):
    """The URL that a command prints as JSON, without its origin."""

    def call(*arguments):
        with pytest.raises(SystemExit):
            main([*map(str, arguments), "--json"])
        (url,) = set(re.findall(r'"url": "([^"]+)"', capsys.readouterr().out))
        origin, path = re.fullmatch(r"(http://localhost:\d+)(/.*)", url).groups()
        return origin, path

    return call


def title(client, path):
    """What the run of a page is called."""
    start = re.match(r"/r/[^/]+", path)[0]
    for _ in range(200):
        page = client.get(start).text
        if 'http-equiv="refresh"' not in page:
            return re.search(r"<h1>(.*?)</h1>", page)[1]
    raise AssertionError(f"{start} is awaited for ever")


def test_a_printed_url_opens_its_own_run_of_two_of_one_id(twins, printed, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder, earlier, later = twins
    client = client_of(folder, only=False)
    with announced(Standing(pid=os.getpid(), port=9999, root=str(folder))):
        for place, name in ((earlier, "earlier"), (later, "later")):
            origin, path = printed("show", place, ONE)
            assert origin == "http://localhost:9999"
            assert client.get(path).status_code == 200
            assert title(client, path) == name
    _, path = printed("show", later, ONE)  # no viewer shows others beside it
    assert path == f"/r/{ID}/t/{ONE}"


def test_a_diagnosis_names_its_own_run_too(twins, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder, _, later = twins
    with announced(Standing(pid=os.getpid(), port=9999, root=str(folder))):
        with pytest.raises(SystemExit):
            main(["diagnose", str(later), "--json"])
        verdict = json.loads(capsys.readouterr().out)
        with pytest.raises(SystemExit):
            main(["search", str(later), "born", "--json"])
        hits = json.loads(capsys.readouterr().out)["hits"]
    urls = [one["url"] for found in verdict["findings"] for one in found["examples"]]
    urls += [hit["url"] for hit in hits]
    assert urls
    client = client_of(folder, only=False)
    assert {title(client, url.removeprefix("http://localhost:9999")) for url in urls} == {"later"}


def test_a_page_of_an_id_that_two_have_leads_to_the_same_page_of_the_other(twins):
    folder, earlier, _ = twins
    client = client_of(folder, only=False)
    path = f"/r/{ID}/t/{ONE}?turn=1"
    page = client.get(path).text
    own = title(client, path)
    (link,) = re.findall(r'another run has this id:</span> <a href="([^"]+)"', page)
    other = unescape(link)
    assert other.endswith(f"/t/{ONE}?turn=1")
    assert client.get(other).status_code == 200
    assert {own, title(client, other)} == {"earlier", "later"}
    assert "another run has this id" not in client_of(earlier).get(path).text


def test_a_folder_of_one_run_shows_it_until_a_second_one_comes(tmp_path):
    write_run(tmp_path / "first", steps=1, run="20260801-120000-aaaa")
    runs = _served_runs(str(tmp_path), sample=False)
    client = TestClient(
        build(runs, Rules(token=TOKEN, cookie=COOKIE)),
        base_url="http://localhost",
        cookies={COOKIE: TOKEN},
    )
    first = client.get("/", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/r/20260801-120000-aaaa")
    write_run(tmp_path / "second", steps=1, run="20260802-120000-bbbb")
    assert client.get("/r/20260802-120000-bbbb").status_code == 200
    listed = client.get("/", follow_redirects=False)
    assert listed.status_code == 200
    assert re.findall(r'id="run-([^"]+)"', listed.text) == [
        "20260802-120000-bbbb",
        "20260801-120000-aaaa",
    ]


def test_a_run_that_is_named_stays_the_only_one(tmp_path):
    write_run(tmp_path / "first", steps=1, run="20260801-120000-aaaa")
    write_run(tmp_path / "second", steps=1, run="20260802-120000-bbbb")
    runs = _served_runs(str(open_run(tmp_path / "first").path), sample=False)
    assert runs.single == "20260801-120000-aaaa"
