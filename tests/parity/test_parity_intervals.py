"""Intervals hold what they should as often as they say, with examples as the units."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.analysis.statistics import Z_95
from rlvr.parity.intervals import Z_99, Sums, difference, estimate, sums

RUNS = 400


def of(values, cluster, count: int) -> Sums:
    return sums(np.asarray(values, float), np.ones(len(values)), np.asarray(cluster), count)


def drawn(draw, examples: int, size: int, *, first: int = 0, count: int, shift: float = 0.0):
    """Rollouts of examples of which each has a chance of its own."""
    chance = np.random.default_rng(7).beta(1.0, 2.0, count)[first : first + examples]
    values = draw.random((examples, size)) < chance[:, None]
    cluster = np.repeat(np.arange(first, first + examples), size)
    return of(values.ravel() + shift, cluster, count)


def test_the_gap_of_equal_sides_is_called_real_in_one_of_twenty():
    draw = np.random.default_rng(0)
    apart = np.zeros(3)
    for _ in range(RUNS):
        chances = draw.beta(1.0, 2.0, 120)
        whole = draw.random((120, 8)) < chances[:, None]
        cluster = np.repeat(np.arange(120), 8)
        a = of(whole[:60].ravel(), cluster[:480], 120)
        b = of(whole[60:].ravel(), cluster[480:], 120)
        again = of((draw.random((60, 8)) < chances[:60, None]).ravel(), cluster[:480], 120)
        apart += [
            difference(a, b).apart_from_zero,
            difference(a, again).apart_from_zero,  # the same examples
            difference(a, b, z=Z_99).apart_from_zero,
        ]
    assert 0.02 <= apart[0] / RUNS <= 0.08
    assert apart[1] / RUNS <= 0.08
    assert apart[2] / RUNS <= 0.025


def test_the_same_examples_on_both_sides_narrow_the_gap():
    draw = np.random.default_rng(1)
    a, b = (drawn(draw, 60, 16, count=120) for _ in range(2))
    other = drawn(draw, 60, 16, first=60, count=120)
    same, disjoint = difference(a, b), difference(a, other)
    assert same.high - same.low < 0.7 * (disjoint.high - disjoint.low)


def test_nothing_seen_leaves_room_for_something():
    found = estimate(of(np.zeros(80), np.repeat(np.arange(20), 4), 20))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(Z_95**2 / (20 + Z_95**2))


def test_rewards_beyond_one_have_the_interval_of_student():
    """Against the quantile of 9 degrees of freedom in the tables: 2.262."""
    values = np.arange(10.0)
    found = estimate(of(values, np.arange(10), 10))
    error = values.std(ddof=1) / math.sqrt(10)
    assert found.high - found.value == pytest.approx(2.262 * error, rel=1e-3)


def test_one_example_proves_nothing():
    found = estimate(of([0.0, 3.0], [0, 0], 1))
    assert math.isnan(found.low)
    assert not found.apart_from_zero


def test_what_is_not_finite_is_left_out():
    found = estimate(of([1.0, math.nan, math.inf, 0.0], [0, 0, 1, 1], 2))
    assert (found.value, found.n) == (0.5, 2)
    assert math.isnan(estimate(of([math.nan], [0], 1)).value)


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 9)), min_size=2, max_size=60),
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 9)), min_size=2, max_size=60),
)
def test_the_gap_lies_in_its_interval_and_turns_with_the_sides(a, b):
    first, second = (
        of([value for value, _ in rows], [cluster for _, cluster in rows], 10) for rows in (a, b)
    )
    fraction = first.fraction and second.fraction
    first, second = (
        Sums(hits=one.hits, trials=one.trials, fraction=fraction) for one in (first, second)
    )
    there, back = difference(first, second), difference(second, first)
    assert there.value == pytest.approx(-back.value)
    if not math.isnan(there.low):
        assert there.low <= there.value + 1e-9
        assert there.high >= there.value - 1e-9
        assert there.low == pytest.approx(-back.high, abs=1e-9)
