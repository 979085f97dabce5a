"""Scoring by math-verify in processes of its own: what comes of each answer is told apart."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rlvr.environments.math_python.core import synthetic
from rlvr.environments.math_python.core.grader import Grader
from rlvr.environments.math_python.core.grading import LONGEST_ANSWER, Outcome

pytestmark = pytest.mark.train

HANGS = "10^{10^{10}}"
NESTED = r"\frac{1}{" * 300 + "2" + "}" * 300


@pytest.fixture(scope="module")
def grader():
    opened = Grader(limit_s=2.0, workers=1)
    yield opened
    opened.close()


def in_a_thread(call, *arguments):
    given = []
    thread = threading.Thread(target=lambda: given.append(call(*arguments)))
    thread.start()
    thread.join()
    return given[0]


def test_an_answer_scores_the_same_in_every_thread(grader):
    assert grader.grade("42", "42").outcome is Outcome.RIGHT
    assert in_a_thread(grader.grade, "42", "42").outcome is Outcome.RIGHT
    assert asyncio.run(asyncio.to_thread(grader.grade, "42", "42")).outcome is Outcome.RIGHT


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        (r"\frac{1}{2}", "0.5", Outcome.RIGHT),
        (r"-\frac{7}{3}", r"\frac{-7}{3}", Outcome.RIGHT),
        (r"(-\infty, 3]", r"(-\infty,3]", Outcome.RIGHT),
        (r"(-\infty, 3]", r"(-\infty,3)", Outcome.WRONG),
        ("3", "x=3", Outcome.RIGHT),
        ("42", "41", Outcome.WRONG),
        ("42", r"\text{forty-two}", Outcome.WRONG),
        ("3", "NaN", Outcome.WRONG),
        ("42", r"\frac{1}{", Outcome.UNPARSABLE),
        ("42", "}", Outcome.UNPARSABLE),
        ("42", "", Outcome.UNPARSABLE),
        ("42", "1" * 100_000, Outcome.UNPARSABLE),
        ("42", HANGS, Outcome.TIMEOUT),
        ("42", NESTED, Outcome.TIMEOUT),
        ("", "42", Outcome.ERROR),
    ],
)
def test_each_outcome(gold, answer, outcome, grader):
    started = time.monotonic()
    given = grader.grade(gold, answer)
    assert given.outcome is outcome, given
    assert time.monotonic() - started < 30
    assert bool(given.reason) == (outcome not in (Outcome.RIGHT, Outcome.WRONG))
    assert grader.grade("42", "42").outcome is Outcome.RIGHT


def test_the_gold_answer_comes_first(grader):
    relation, interval = r"-2 \le x < 3", "[-2,3)"
    assert grader.grade(relation, interval).outcome is Outcome.RIGHT
    assert grader.grade(interval, relation).outcome is Outcome.WRONG


def test_a_scorer_that_dies_is_an_error_and_no_wrong_answer(grader):
    (pid,) = grader.pids
    hanging = threading.Timer(0.4, os.kill, (pid, signal.SIGKILL))
    hanging.start()
    given = grader.grade("42", HANGS)
    assert given.outcome is Outcome.ERROR
    assert "was killed by signal 9" in given.reason
    assert grader.grade("42", "42").outcome is Outcome.RIGHT


def test_a_scorer_that_is_gone_is_an_error_and_no_wrong_answer():
    opened = Grader(limit_s=5, workers=1)
    for pid in opened.pids:
        os.kill(pid, signal.SIGKILL)
    given = opened.grade("42", "42")
    assert given.outcome in (Outcome.ERROR, Outcome.RIGHT)
    opened.close()
    closed = opened.grade("42", "42")
    assert closed.outcome is Outcome.ERROR
    assert "stopped" in closed.reason


def test_memory_is_bounded(grader):
    (pid,) = grader.pids
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (space,) = [line.split() for line in limits if line.startswith("Max address space")]
    assert int(space[3]) == int(space[4]) == 2 << 30


def test_many_threads_get_their_own_answers(grader):
    given = {}

    def ask(number):
        given[number] = grader.grade(str(number), str(number % 5)).outcome

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n for n, outcome in given.items() if outcome is Outcome.RIGHT} == set(range(5))
    assert {n for n, outcome in given.items() if outcome is Outcome.WRONG} == set(range(5, 10))


def test_every_synthetic_answer_is_right_and_its_neighbour_s_is_not(grader):
    rows = list(synthetic.rows(seed=7, count=80, split="train"))
    by_kind = {row["kind"]: row for row in rows}
    for row in rows[:40] + list(by_kind.values()):
        given = grader.grade(row["answer"], row["answer"])
        assert given.outcome is Outcome.RIGHT, row
    for one, other in itertools.pairwise(rows):
        if one["answer"] != other["answer"]:
            given = grader.grade(one["answer"], other["answer"])
            assert given.outcome is Outcome.WRONG, (one, other)


_HOST = """
import sys, threading
from rlvr.environments.math_python.core.grader import Grader
grader = Grader(limit_s=600, workers=1)
threading.Thread(target=grader.grade, args=("42", "10^{10^{10}}"), daemon=True).start()
print(*grader.pids, flush=True)
if sys.argv[1] == "wait":
    input()
"""


@pytest.mark.parametrize("end", ["exit", "wait"])
def test_no_process_is_left_when_the_host_ends_or_is_killed(end):
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = host.stdout.readline().split()
    assert pids
    if end == "wait":
        host.kill()
    host.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_script_without_a_guard_is_not_started_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "print('started')\n"
        "from rlvr.environments.math_python.core.grader import Grader\n"
        "print(Grader(workers=1).grade('1', '1').outcome)\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert run.stdout == "started\nright\n"


def test_a_long_answer_is_not_even_asked(grader):
    assert grader.grade("42", "4" * (LONGEST_ANSWER + 1)).duration_s == 0.0
