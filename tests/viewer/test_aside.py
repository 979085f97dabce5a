"""Questions of a large run are answered in processes that leave nothing behind."""

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders import RUN_ID, batches, run_info, write_run
from rlvr.errors import RunNotFound
from rlvr.recorder import Recorder
from rlvr.runs import Run, open_run
from rlvr.viewer.answers import Answers
from rlvr.viewer.aside import AnswerLost, ask_aside
from viewers import client_of

AT = f"/r/{RUN_ID}"
AWAITED = ('http-equiv="refresh"', "being judged", "being counted", "being read")
PAGES = ("", "/s/3?split=train", "/rewards", "/tools", "/p", "/diagnosis", "/contrast")


class Unportable(Exception):
    """Can't be made of its text alone, as some libraries' errors."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


def raises_unportable():
    raise Unportable("both", "words")


def who_answers():
    return os.getppid(), os.getpid(), os.nice(0)


def touch_every_row(run):
    return run.to_arrow(["id"]).num_rows


def end_while_working():
    os.kill(os.getpid(), signal.SIGKILL)


def children_of(pid):
    found = ""
    with contextlib.suppress(FileNotFoundError):  # it, or one of its threads, has just ended
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError):
                found += path.read_text()
    return [int(child) for child in found.split()]


def runs(pid):
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def shown(client, path):
    """The page once nothing on it is awaited."""
    while True:
        text = client.get(AT + path).text
        if not any(awaited in text for awaited in AWAITED):
            return text
        time.sleep(0.02)


def test_a_question_has_a_process_of_its_own_at_a_lower_priority_which_ends_with_it():
    parent, own, niceness = ask_aside(who_answers)
    assert parent == os.getpid()
    assert niceness > os.nice(0)
    assert not Path(f"/proc/{own}").exists()  # as a zombie would


def test_an_error_comes_back_as_what_it_is(tmp_path):
    with pytest.raises(RunNotFound, match="does not exist") as raised:
        ask_aside(open_run, tmp_path / "nowhere")
    assert "in open_run" in "".join(raised.value.__notes__)  # where it was raised, for a terminal
    with pytest.raises(RuntimeError, match="Unportable: both words"):
        ask_aside(raises_unportable)


def test_a_process_that_is_killed_is_an_answer_that_is_lost():
    with pytest.raises(AnswerLost, match=r"killed by signal 9.*Load the page again"):
        ask_aside(end_while_working)


def test_a_lost_answer_is_told_and_then_tried_again():
    answers, tries = Answers(), []

    def question():
        tries.append(1)
        if len(tries) == 1:
            raise AnswerLost("killed")
        return "found"

    ask = functools.partial(answers.of, "x", "1", question, patience_s=30)
    with pytest.raises(AnswerLost):
        ask()
    assert ask().value == "found"


def test_files_that_it_could_not_read_are_known_here(tmp_path):
    write_run(tmp_path, steps=3)
    run = open_run(tmp_path)
    torn = next((run.path / "trajectories" / "L0").glob("*s000001*"))
    torn.write_bytes(torn.read_bytes()[:-20])
    rows = ask_aside(touch_every_row, run)
    assert rows == sum(1 for _ in Run(run.path).trajectories())
    assert [torn.name in str(problem) for problem in run.damage_met] == [True]


def test_a_viewer_that_is_killed_leaves_no_process_behind(tmp_path):
    code = "import time; from rlvr.viewer.aside import ask_aside; ask_aside(time.sleep, 600)"
    viewer = subprocess.Popen([sys.executable, "-c", code], env=os.environ | path_of_tests())
    until(lambda: children_of(viewer.pid))
    (child,) = children_of(viewer.pid)
    until(lambda: len(list(Path(f"/proc/{child}/task").iterdir())) > 1)  # it works, and listens
    viewer.kill()
    viewer.wait()
    until(lambda: not runs(child))


def path_of_tests():
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_the_pages_of_a_large_run_are_those_of_a_small_one(demo):
    here, aside = client_of(demo), client_of(demo, aside_from=1)
    for path in PAGES:
        shown(aside, path)  # so that what one awaits is worked on while others are asked
    for path in PAGES:
        assert alike(shown(aside, path)) == alike(shown(here, path)), path


def alike(page):
    """The page without what tells two answers apart."""
    return re.sub(r'nonce="[^"]*"|data-etag="[^"]*"|content="&#34;[^"]*"', "", page)


def test_a_large_run_is_followed_while_it_is_recorded(tmp_path):
    with Recorder.open(tmp_path, info=run_info(), run=RUN_ID) as recorder:
        steps = list(batches(4))
        for batch in steps[:3]:
            recorder.record_batch(batch)
        assert recorder.flush(30.0)
        client = client_of(tmp_path, aside_from=1)
        assert 'id="s2-train"' in shown(client, "")
        recorder.record_batch(steps[3])
        assert recorder.flush(30.0)
        until(lambda: 'id="s3-train"' in client.get(AT).text)
