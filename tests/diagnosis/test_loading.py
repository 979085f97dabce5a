"""What a diagnosis loads of a recorded run, and of a part of its steps."""

from importlib import resources

import pytest

import rlvr
from rlvr.diagnosis import diagnose, load_evidence


@pytest.fixture(scope="module")
def run():
    """The recorded run that comes with rlvr: twenty steps."""
    return rlvr.open_run(str(resources.files("rlvr.demo").joinpath("sample", "upstream")))


def steps_of(evidence):
    return sorted({int(step) for step in evidence.rollouts.step})


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, range(20)),
        (None, 4, range(5)),
        (3, 7, range(3, 8)),
        (15, None, range(15, 20)),
        (None, 99, range(20)),
    ],
)
def test_only_the_steps_that_were_asked_for_are_loaded(run, since, until, expected):
    evidence = load_evidence(run, since=since, until=until)
    assert steps_of(evidence) == list(expected)
    for part in (evidence.contents, evidence.details):
        assert {one.step for one in part} <= set(expected)
    assert {one.step for one in evidence.contents} >= {expected[0], expected[-1]}


def test_nothing_that_was_logged_later_is_seen(run):
    whole, early = load_evidence(run), load_evidence(run, until=4)
    assert max(row.step for row in early.metrics) == 5  # of step 4, logged when it was done
    assert max(row.step for row in whole.metrics) == 20


def test_a_span_without_a_step_is_an_empty_run(run):
    verdict = diagnose(load_evidence(run, since=50))
    assert (verdict.rollouts, verdict.findings) == (0, ())
    assert diagnose(load_evidence(run, until=-1)).rollouts == 0
