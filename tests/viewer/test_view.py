"""`rlvr view` as a person starts it: what it prints, whom it answers, how it ends."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rlvr.runs import open_run


@pytest.fixture
def started(demo, tmp_path):
    """A viewer in a process of its own, and what it printed first."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    code = "from rlvr.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "view", str(demo), "--port", "0", "--json"],
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
