"""Warm processes begin and end as those that Python starts: their trainings prove as much."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from warm import warm_python

ENDINGS = {
    "import sys; sys.exit(3)": 3,
    "raise KeyError('x')": 1,
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
}


@pytest.mark.train
def test_what_goes_in_and_comes_out_is_that_of_a_process_of_its_own(tmp_path):
    script = tmp_path / "told.py"
    script.write_text(
        "import os, sys, tempfile\n"
        "print(__name__, sys.argv[1:], os.environ['TOLD'], os.getcwd(), sys.stdin.read())\n"
        "print(os.path.dirname(__file__) == sys.path[0], 'rlvr' in sys.modules)\n"
        "print('said', file=sys.stderr)\n"
    )
    ways = [
        subprocess.run(
            [python, script, "a", "b"], input="in", capture_output=True, text=True, check=True,
            cwd=tmp_path, env={"TOLD": "é"},
        )
        for python in (warm_python(), sys.executable)
    ]  # fmt: skip
    assert ways[0].stdout == ways[1].stdout
    assert ways[0].stderr == ways[1].stderr == "said\n"
    assert ways[0].stdout.endswith("True False\n")


@pytest.mark.train
def test_it_ends_as_what_it_runs_and_goes_when_it_is_killed(tmp_path):
    for code, ending in ENDINGS.items():
        done = subprocess.run([warm_python(), "-c", code], capture_output=True, check=False)
        assert done.returncode == ending, done.stderr
    waits = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen([warm_python(), "-c", waits], stdout=subprocess.PIPE) as client:
        fork = Path("/proc", client.stdout.readline().decode().strip())
        assert fork.exists()
        client.kill()
    deadline = time.monotonic() + 20
    while fork.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not fork.exists()
