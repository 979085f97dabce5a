"""Whether two scorings agree, the pattern of many, and the sample that is taken. Pure."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorers import rollout

from rlvr.record import Component, ScoreStatus
from rlvr.record.rescore import Change, Pair, Pattern, Scored, ScoreRow, ScoringThread
from rlvr.rescoring.comparison import agreement, same
from rlvr.rescoring.pattern import (
    Circumstances,
    deciding_row,
    examples_of,
    find_pattern,
    remedy,
    sentence,
)
from rlvr.rescoring.selection import evenly, spread
from rlvr.rescoring.tally import Tally

NAN = float("nan")
OK, ERROR, TIMEOUT = ScoreStatus.OK, ScoreStatus.ERROR, ScoreStatus.TIMEOUT


def scored(reward, *, missing=None, **parts):
    """`parts`: name=(value, status, weight); the later two may lack."""
    components = []
    for name, part in parts.items():
        value, status, weight = (*part, OK, 1.0)[:3] if len(part) == 1 else (*part, 1.0)[:3]
        components.append(Component(name=name, value=value, status=status, weight=weight))
    return Scored(components=tuple(components), reward=reward, missing=missing)


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (1.0, 1.0 + 1e-7, True),
        (1.0, 1.0 + 1e-5, False),
        (0.0, 1e-7, True),
        (1e9, 1e9 + 1, True),
        (NAN, NAN, True),
        (NAN, 0.0, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (None, 0.0, None),
        (None, None, None),
    ],
)
def test_values_are_the_same_but_for_rounding(one, other, says):
    assert same(one, other) is says
    assert same(other, one) is says


@pytest.mark.parametrize(
    ("was", "now", "against_training", "between_threads"),
    [
        (scored(1.0, a=(1.0,)), scored(1.0, a=(1.0,)), True, True),
        (scored(1.0, a=(1.0,)), scored(0.0, a=(0.0,)), False, False),
        # Only failing now says nothing of training; between threads it is a difference.
        (scored(1.0, a=(1.0,)), scored(0.0, a=(None, ERROR)), None, False),
        (scored(0.0, a=(None, ERROR)), scored(1.0, a=(1.0,)), False, False),
        (scored(0.0, a=(None, ERROR)), scored(0.0, a=(None, ERROR)), True, True),
        # What was stopped is not known.
        (scored(0.0, a=(None, TIMEOUT)), scored(1.0, a=(1.0,)), None, None),
        (scored(1.0, a=(1.0,)), Scored(failure="TimeoutError", timed_out=True), None, None),
        # Nor what asked for something that no record holds.
        (scored(1.0, a=(1.0,)), scored(0.0, a=(0.0,), missing={"a": ("x",)}), None, None),
        (
            scored(1.0, a=(1.0,), b=(0.0,)),
            scored(1.0, a=(0.0,), b=(1.0,), missing={"a": ("x",)}),
            False,
            False,
        ),
        # What does not count in the total is no other reward.
        (
            scored(1.0, a=(1.0,), b=(2.0, OK, 0.0)),
            scored(1.0, a=(1.0,), b=(3.0, OK, 0.0)),
            True,
            True,
        ),
        # Parts that cancel out are another reward all the same.
        (scored(1.0, a=(1.0,), b=(0.0,)), scored(1.0, a=(0.0,), b=(1.0,)), False, False),
        # Totals are compared where the components have other names, or none.
        (scored(1.0, old=(1.0,)), scored(1.0, new=(1.0,)), True, True),
        (scored(1.0, old=(1.0,)), scored(0.0, new=(None, ERROR)), None, None),
        (scored(1.0), scored(0.5, a=(0.5,)), False, False),
        (scored(None), scored(0.5, a=(0.5,)), None, None),
    ],
)
def test_two_scorings_agree_differ_or_can_not_be_told(was, now, against_training, between_threads):
    assert agreement(was, now, an_error_counts=False).reward is against_training
    assert agreement(was, now, an_error_counts=True).reward is between_threads


def test_a_component_that_does_not_count_differs_by_itself():
    found = agreement(
        scored(1.0, a=(1.0,), b=(2.0, OK, 0.0)),
        scored(1.0, a=(1.0,), b=(3.0, OK, 0.0)),
        an_error_counts=False,
    )
    assert found.components == {"a": True, "b": False}
    assert found.differs


# Patterns


def row(main, worker, threads, name="total", **changes):
    """Each pair as (same, differ, unknown)."""
    pairs = {
        ("main", "training"): main,
        ("worker", "training"): worker,
        ("main", "worker"): threads,
    }
    made = tuple(
        Pair(first=one, second=other, same=counts[0], differ=counts[1], unknown=counts[2])
        for (one, other), counts in pairs.items()
        if counts is not None
    )
    return ScoreRow(name=name, weight=None, columns={}, pairs=made, **changes)


def around(**changes):
    plain = {
        "trained_in": "worker",
        "repaired": False,
        "unsteady": (),
        "packages": (),
        "scorers": (),
    }
    return Circumstances(**(plain | changes))


@pytest.mark.parametrize(
    ("found", "circumstances", "pattern", "says"),
    [
        (row((9, 0, 1), (9, 0, 1), (10, 0, 0)), {}, Pattern.AGREES, "Of 1 more it can't be told"),
        (row((2, 8, 0), (10, 0, 0), (2, 8, 0)), {}, Pattern.THREADS, "and training scored there"),
        (row((2, 80, 0), (80, 2, 0), (2, 80, 0)), {}, Pattern.THREADS, "80 of 82 rollouts"),
        (
            row((2, 8, 0), (10, 0, 0), (2, 8, 0)),
            {"trained_in": None},
            Pattern.THREADS,
            "and training has what a worker says",
        ),
        (
            row((10, 0, 0), (2, 8, 0), (2, 8, 0)),
            {"repaired": True},
            Pattern.COVERED,
            "spared by its repair scorer_timeouts",
        ),
        (
            row((10, 0, 0), (2, 8, 0), (2, 8, 0)),
            {"trained_in": "main"},
            Pattern.COVERED,
            "This run scored in the main thread",
        ),
        (row((5, 5, 0), (5, 5, 0), (5, 5, 0)), {}, Pattern.MIXED, "training has is neither"),
        (row((0, 0, 9), (0, 0, 9), (5, 4, 0)), {}, Pattern.MIXED, "can't be compared"),
        (row((5, 5, 0), (5, 5, 0), (10, 0, 0)), {}, Pattern.CHANGED, "agree with each other"),
        (row((5, 5, 0), None, None), {}, Pattern.CHANGED, "asked in the main thread alone"),
        (
            row((5, 5, 0), (5, 5, 0), (10, 0, 0)),
            {"packages": (Change(name="sympy", was="1", now=None),)},
            Pattern.CHANGED,
            "packages (sympy 1, now absent)",
        ),
        (
            row((5, 5, 0), (5, 5, 0), (10, 0, 0)),
            {"scorers": tuple(Change(name=f"s{n}", was="f 1", now="f 2") for n in range(6))},
            Pattern.CHANGED,
            "scorers (s0; s1; s2; s3; 2 more)",
        ),
        (
            row((5, 5, 0), (5, 5, 0), (5, 5, 0)),
            {"unsteady": ("judge",)},
            Pattern.UNSTEADY,
            "each time it is asked (judge)",
        ),
        (row((0, 0, 9), (0, 0, 9), (0, 0, 9)), {}, Pattern.UNKNOWN, "Nothing could be compared"),
    ],
)
def test_the_pattern_is_named(found, circumstances, pattern, says):
    known = around(**circumstances)
    assert find_pattern(found, known) is pattern
    assert says in sentence(pattern, found, known)
    assert examples_of(pattern, found)
    assert bool(remedy(pattern)) is (pattern not in (Pattern.AGREES, Pattern.UNKNOWN))


def test_it_is_spoken_of_the_component_that_differs_most():
    total = row((2, 8, 0), (10, 0, 0), (2, 8, 0))
    little = row((8, 2, 0), (10, 0, 0), (8, 2, 0), "little")
    most = row((2, 8, 0), (10, 0, 0), (2, 8, 0), "most")
    new = row((0, 0, 10), (0, 0, 10), (0, 10, 0), "new")
    assert deciding_row(total, [little, most, new]).name == "most"
    assert deciding_row(total, [new]).name == "total"
    agrees = row((10, 0, 0), (10, 0, 0), (10, 0, 0))
    assert deciding_row(agrees, [agrees, little]).name == "little"


# Tallies


def test_a_tally_counts_each_rollout_once_in_each_pair():
    tally = Tally(tuple(ScoringThread))
    for value in (0.0, 1.0, 0.0):
        right, wrong = scored(1.0, right=(1.0,)), scored(0.0, right=(0.0,))
        given = {ScoringThread.MAIN: right, ScoringThread.WORKER: wrong}
        tally.add(rollout(value=value), given)
    for counted in (tally.total, *tally.components):
        assert [(p.same, p.differ, p.unknown) for p in counted.pairs] == [
            (1, 2, 0),
            (2, 1, 0),
            (0, 3, 0),
        ]
        assert [column.mean for column in counted.columns.values()] == [1 / 3, 1.0, 0.0]
    assert len(tally.examples("main", "worker")) == 3


def test_a_thread_that_was_given_up_leaves_the_others_to_be_counted():
    tally = Tally(tuple(ScoringThread))
    tally.add(rollout(), {ScoringThread.MAIN: scored(1.0, right=(1.0,))})
    assert [(p.first, p.same) for p in tally.total.pairs] == [("main", 1)]


# Samples


@given(
    st.dictionaries(st.integers(0, 50), st.integers(1, 40), min_size=1),
    st.none() | st.integers(1, 500),
)
def test_a_sample_has_its_size_and_takes_of_each_step_alike(sizes, limit):
    counts = spread(sizes, limit)
    assert sum(counts.values()) == min(limit or sum(sizes.values()), sum(sizes.values()))
    assert all(0 <= counts[step] <= sizes[step] for step in sizes)
    open_counts = [counts[step] for step in sizes if counts[step] < sizes[step]]
    if open_counts:
        assert max(counts.values()) - min(open_counts) <= 1


@given(st.lists(st.integers(), unique=True), st.integers(0, 30))
def test_entries_at_equal_distances_are_some_of_them_in_order(entries, count):
    taken = evenly(entries, count)
    assert len(taken) == min(count, len(entries))
    assert taken == [entry for entry in entries if entry in taken]
