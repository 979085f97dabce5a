"""`rlvr view` as a person starts it: what it prints, whom it answers, how it ends."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import write_run
from remote_store import wait_until
from rlvr.runs import open_run

FOREIGN = Path(__file__).parents[1] / "interchange" / "fixtures" / "trl"


@contextmanager
def viewer_of(place, caches):
    """A viewer in a process of its own, and what it printed first."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(caches)}
    code = "from rlvr.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "view", str(place), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    lines = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    yield process, json.loads("".join(lines))
    process.kill()
    process.communicate()


@pytest.fixture
def started(demo, tmp_path):
    with viewer_of(demo, tmp_path) as found:
        yield found


def test_a_folder_of_what_another_tool_recorded_opens_as_a_run(tmp_path):
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with viewer_of(FOREIGN, tmp_path) as (_, said), opener.open(said["url"]) as page:
        assert "24 recorded" in page.read().decode()


def test_a_folder_without_any_run_shows_those_that_come(tmp_path):
    (tmp_path / "out").mkdir()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with viewer_of(tmp_path / "out", tmp_path / "caches") as (_, said):
        with opener.open(said["url"]) as page:
            assert "No recorded run is here yet." in page.read().decode()
        run = open_run(write_run(tmp_path / "out"))

        def shown():
            with opener.open(said["url"]) as page:
                return run.id in page.read().decode()

        wait_until(shown)


def test_it_prints_its_url_serves_the_run_and_ends_quietly_on_ctrl_c(started, demo):
    process, said = started
    assert set(said) == {"version", "kind", "url", "port", "root"}
    assert said["url"].startswith(f"http://localhost:{said['port']}/?token=")
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(said["url"]) as page:
        assert page.url.endswith(f"/r/{open_run(demo).id}")  # signed in, and at the run
        assert "token" not in page.url
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_it_takes_no_memory_for_pandas(started):
    process, said = started
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(said["url"]) as page:
        assert 'id="steps"' in page.read().decode()  # Arrow has grouped the rollouts by step
    assert "pyarrow" in Path(f"/proc/{process.pid}/maps").read_text()
    assert "pandas" not in Path(f"/proc/{process.pid}/maps").read_text()
