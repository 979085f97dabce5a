"""The URLs that verbs print: of the viewer that runs, else of the one that would."""

import json
import os

import pytest

from builders import RUN_ID, write_run
from rlvr.viewer.standing import Standing, announced

ONE = "train-s000003-b000003-a00-r000-00002"
PAGES = {
    ("show", "demo"): f"/r/{RUN_ID}",
    ("show", "demo", ONE): f"/r/{RUN_ID}/t/{ONE}",
    ("show", "demo", ONE, "--turn", "0"): f"/r/{RUN_ID}/t/{ONE}?turn=0#turn0",
    ("show", "demo", "train-b000003-g001"): f"/r/{RUN_ID}/g/train-b000003-g001",
    ("diagnose", "demo"): f"/r/{RUN_ID}/diagnosis",
    ("diagnose", "demo", "truncation"): f"/r/{RUN_ID}/diagnosis#truncation",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    write_run(path / "demo")
    return path


@pytest.mark.parametrize("arguments", PAGES)
def test_a_page_names_its_url_and_what_must_run_for_it(rlvr, arguments):
    _, out, _ = rlvr(*arguments)
    url = f"http://localhost:8421{PAGES[arguments]}"
    assert f"  {url}  # the same in the browser, while `rlvr view demo` runs\n" in out


def test_while_a_viewer_shows_the_run_the_url_has_its_port(rlvr, folder):
    standing = Standing(pid=os.getpid(), port=9123, root=str(folder))
    with announced(standing):
        _, out, _ = rlvr("show", "demo", ONE)
        _, document, _ = rlvr("show", "demo", ONE, "--json")
        _, found, _ = rlvr("search", "demo", "founder", "--json")
    assert f"  http://localhost:9123/r/{RUN_ID}/t/{ONE}  # the same in the browser\n" in out
    assert json.loads(document)["url"] == f"http://localhost:9123/r/{RUN_ID}/t/{ONE}"
    for hit in json.loads(found)["hits"]:
        message = "" if hit["message"] is None else f"#m{hit['message']}"
        assert hit["url"].startswith(f"http://localhost:9123/r/{RUN_ID}/t/{hit['id']}")
        assert hit["url"].endswith(message)
